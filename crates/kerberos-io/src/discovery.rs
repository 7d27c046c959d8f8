//! KDCs by DNS: the SRV records of RFC 4120 section 7.2.3.2, as domains publish them.

use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, RecordType};
use hop_kerberos::config::{KdcAddress, KdcTransport};
use tokio::time::timeout;

/// For both questions together; resolvers with many dead servers would ask much longer.
const LIMIT: Duration = Duration::from_secs(8);

/// The KDCs that DNS names for a realm, in the order to try them; none if DNS has none or does not answer.
///
/// Records for UDP stand for a KDC that answers by any transport; one that is published for TCP only is asked so.
pub(crate) async fn kdcs(realm: &str) -> Vec<KdcAddress> {
    // A realm is looked up as a domain only if it can be one.
    let plausible = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if realm.is_empty() || !realm.chars().all(plausible) {
        return Vec::new();
    }
    let resolver = match TokioResolver::builder_tokio().and_then(|builder| builder.build()) {
        Ok(resolver) => resolver,
        Err(error) => {
            tracing::debug!(%error, "no DNS resolver");
            return Vec::new();
        }
    };
    let both = async { tokio::join!(srv(&resolver, "udp", realm), srv(&resolver, "tcp", realm)) };
    let Ok((udp, tcp)) = timeout(LIMIT, both).await else {
        tracing::debug!(realm, "DNS does not answer for the realm's KDCs");
        return Vec::new();
    };
    let mut kdcs = udp;
    for mut kdc in tcp {
        if !kdcs.iter().any(|known| known.host == kdc.host && known.port == kdc.port) {
            kdc.transport = Some(KdcTransport::Tcp);
            kdcs.push(kdc);
        }
    }
    kdcs
}

async fn srv(resolver: &TokioResolver, transport: &str, realm: &str) -> Vec<KdcAddress> {
    // The dot at the end keeps the search list of resolv.conf out.
    let name = format!("_kerberos._{transport}.{realm}.");
    let lookup = match resolver.lookup(name.as_str(), RecordType::SRV).await {
        Ok(lookup) => lookup,
        Err(error) => {
            tracing::debug!(name, %error, "no SRV records");
            return Vec::new();
        }
    };
    let mut found: Vec<(u16, u16, KdcAddress)> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(srv) => {
                let host = srv.target.to_utf8();
                let host = host.trim_end_matches('.');
                // A target of "." says that there is no such service.
                (!host.is_empty()).then(|| (srv.priority, srv.weight, KdcAddress::new(host, srv.port)))
            }
            _ => None,
        })
        .collect();
    found.sort_by_key(|(priority, weight, _)| (*priority, std::cmp::Reverse(*weight)));
    found.into_iter().map(|(_, _, kdc)| kdc).collect()
}
