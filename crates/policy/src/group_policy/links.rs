//! Which policy objects a domain and its organisational units link, and in which order they apply.

/// The most links that are read of one container.
const MAX_LINKS: usize = 1_000;
/// GPLINK_OPT_DISABLE.
const DISABLED: u32 = 1;
/// GPLINK_OPT_ENFORCE.
const ENFORCED: u32 = 2;

/// One link of a container to a policy object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The object's distinguished name.
    pub dn: String,
    /// No container below can block it or come before it.
    pub enforced: bool,
}

/// A domain or an organisational unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its links, in the order of the attribute.
    pub links: Vec<Link>,
    /// Links of the containers above count only where they are enforced (gPOptions is 1).
    pub blocks_inheritance: bool,
}

/// Reads the attribute gPLink ([MS-GPOL] 2.2.2): `[LDAP://DN;OPTIONS]` one after the other. Links that are switched off
/// are left out, and so is what is no link.
pub fn parse(text: &str) -> Vec<Link> {
    let link = |part: &str| {
        let (path, options) = part.trim().strip_prefix('[')?.rsplit_once(';')?;
        let dn =
            path.get(7..).filter(|_| path.get(..7).is_some_and(|p| p.eq_ignore_ascii_case("ldap://")))?;
        let options: u32 = options.trim().parse().ok()?;
        let good = !dn.is_empty() && !dn.chars().any(char::is_control);
        (good && options & DISABLED == 0)
            .then(|| Link { dn: dn.to_owned(), enforced: options & ENFORCED != 0 })
    };
    text.split(']').filter_map(link).take(MAX_LINKS).collect()
}

/// The objects in the order in which they are applied, the last one wins: `containers` from the domain down to the one
/// that holds the machine. Within a container the attribute's order is that of application; enforced links come
/// after all others, the outermost container's last.
pub fn order(containers: &[Container]) -> Vec<String> {
    let from = containers.iter().rposition(|container| container.blocks_inheritance).unwrap_or(0);
    let links = |container: &Container, enforced: bool| {
        let chosen = container.links.iter().filter(move |link| link.enforced == enforced);
        chosen.map(|link| link.dn.clone()).collect::<Vec<_>>()
    };
    let usual = containers.iter().skip(from).flat_map(|container| links(container, false));
    let enforced = containers.iter().rev().flat_map(|container| links(container, true));
    let mut ordered: Vec<String> = Vec::new();
    for dn in usual.chain(enforced) {
        // Linked twice it counts where it is applied last.
        ordered.retain(|known| !known.eq_ignore_ascii_case(&dn));
        ordered.push(dn);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(links: &str, blocks_inheritance: bool) -> Container {
        let links = links
            .split_whitespace()
            .map(|word| Link { dn: word.trim_end_matches('!').to_owned(), enforced: word.ends_with('!') });
        Container { links: links.collect(), blocks_inheritance }
    }

    #[test]
    fn the_attribute() {
        let text = "[LDAP://cn={1},cn=policies,cn=system,DC=hop,DC=test;0][ldap://cn={2};1][LDAP://cn={3};2][LDAP://cn={4};3]";
        let links = parse(text);
        assert_eq!(links.len(), 2);
        assert_eq!(
            (links[0].dn.as_str(), links[0].enforced),
            ("cn={1},cn=policies,cn=system,DC=hop,DC=test", false)
        );
        assert_eq!((links[1].dn.as_str(), links[1].enforced), ("cn={3}", true));
        for none in [
            "",
            " ",
            "[]",
            "[LDAP://;0]",
            "[http://x;0]",
            "[LDAP://x]",
            "[LDAP://x;y]",
            "[LDAP://x\ny;0]",
            "é;0]",
        ] {
            assert_eq!(parse(none), [], "{none:?}");
        }
    }

    #[test]
    fn who_wins() {
        let domain = container("d1 d2 d3!", false);
        let unit = container("o1 o2!", false);
        assert_eq!(order(&[domain.clone(), unit.clone()]), ["d1", "d2", "o1", "o2", "d3"]);
        assert_eq!(order(std::slice::from_ref(&domain)), ["d1", "d2", "d3"]);
        // A unit that blocks inheritance cannot block what is enforced.
        let blocking = container("o1 o2!", true);
        assert_eq!(order(&[domain.clone(), blocking]), ["o1", "o2", "d3"]);
        let below = container("u1", false);
        assert_eq!(order(&[domain, container("o1", true), below]), ["o1", "u1", "d3"]);
        assert_eq!(order(&[container("a b", false), container("A", false)]), ["b", "A"]);
        assert_eq!(order(&[]), Vec::<String>::new());
    }
}
