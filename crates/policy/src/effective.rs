use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use hop_delegation::credssp::{self, ListName, Setting, Source};

use crate::{
    Error, Locations,
    group_policy::{
        Snapshot, cache, directory,
        domain::{self, Programs, Question},
        registry,
    },
    local::{self, Settings},
};

/// How long the domain may take where nobody asked for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the domain is asked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Refresh {
    /// What was kept is taken, however old.
    Never,
    /// When what was kept is older than 90 minutes; if the domain does not answer, it is obeyed all the same.
    #[default]
    WhenStale,
    /// Now; what was kept is of no use.
    Now {
        /// How long it may take.
        within: Duration,
    },
}

/// The policy in force, and how it came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// What counts.
    pub effective: credssp::Policy,
    /// Settings of this machine that do not count, because Group Policy speaks of the same.
    pub overridden: Vec<Overridden>,
    /// Group Policy, if any is configured.
    pub group_policy: Option<GroupPolicyState>,
}

/// A setting that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overridden {
    /// The list or switch, as Windows names it.
    pub setting: &'static str,
    /// The entry, or `true` or `false`.
    pub value: String,
    /// Where it stands.
    pub source: Source,
}

/// What is known of Group Policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPolicyState {
    /// The domain, or the folder.
    pub origin: String,
    /// The account in whose place it is read.
    pub machine: Option<String>,
    /// When it was read; `None`: never.
    pub read_at: Option<SystemTime>,
    /// Display names and GUIDs of the objects that apply, the last one wins.
    pub objects: Vec<(String, String)>,
    /// Why it could not be read anew, if that was tried.
    pub problem: Option<String>,
}

impl Policy {
    /// The policy of this process's user on this machine. Group Policy is read anew if what was kept is too old.
    ///
    /// # Errors
    /// A file that cannot be understood; Group Policy that was never read and cannot be read now. Nothing may be sent
    /// then: what forbids it may stand there.
    pub fn load() -> Result<Self, Error> {
        Self::load_from(
            &Locations::of_process(),
            &Refresh::WhenStale,
            &Programs::default(),
            SystemTime::now(),
        )
    }

    /// The policy that is kept in these places.
    ///
    /// # Errors
    /// As [`Policy::load`]; with [`Refresh::Now`] also whatever keeps the domain from being asked, and with
    /// [`Refresh::Never`] not for want of a Group Policy that was read.
    pub fn load_from(
        locations: &Locations,
        refresh: &Refresh,
        programs: &Programs,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let mut files: Vec<(PathBuf, Settings)> = Vec::new();
        for path in locations.files() {
            files.push((path.to_owned(), Settings::read(path)?));
        }
        let mut policy = Self { effective: local::unite(&files), ..Self::default() };
        // The machine's file stands first: a user cannot turn away from the machine's domain.
        let configured = files.iter().map(|(_, settings)| &settings.group_policy);
        let configured = configured.into_iter().find(|it| it.domain.is_some() || it.directory.is_some());
        let Some(configured) = configured else { return Ok(policy) };
        let (origin, found, problem) = match (&configured.directory, &configured.domain) {
            (Some(folder), _) => (folder.display().to_string(), Some(directory::read(folder)?), None),
            (None, Some(domain)) => {
                let question = Question {
                    domain: domain.clone(),
                    machine: configured.machine.clone(),
                    controller: configured.controller.clone(),
                    within: PATIENCE,
                    programs: programs.clone(),
                };
                let (found, problem) = of_domain(locations, refresh, question, now)?;
                (domain.clone(), found, problem)
            }
            (None, None) => return Ok(policy),
        };
        policy.group_policy = Some(GroupPolicyState {
            origin,
            machine: configured.machine.clone(),
            read_at: found.as_ref().map(|found| found.read_at),
            objects: found.iter().flat_map(|f| &f.objects).map(|o| (o.name.clone(), o.id.clone())).collect(),
            problem,
        });
        if let Some(found) = found {
            policy.put_over(registry::policy(&found.objects));
        }
        Ok(policy)
    }

    /// Whether the service of this machine may take passwords by CredSSP; `None` if nobody has said.
    pub fn service_allows_credssp(&self) -> Option<bool> {
        self.effective.service.as_ref().map(|service| service.value)
    }

    /// Puts Group Policy over what is there: what it speaks of, the machine's own settings no longer do.
    fn put_over(&mut self, above: credssp::Policy) {
        for name in ListName::ALL {
            let list = above.list(name);
            if list.enabled.is_some() {
                let below = std::mem::replace(self.effective.list_mut(name), list.clone());
                self.overridden.extend(below.entries.into_iter().map(|entry| Overridden {
                    setting: name.as_str(),
                    value: entry.value,
                    source: entry.source,
                }));
            }
        }
        let credssp::Policy { client, service, .. } = above;
        for (setting, into, switch) in [
            ("AllowCredSSP (client)", &mut self.effective.client, client),
            ("AllowCredSSP (service)", &mut self.effective.service, service),
        ] {
            let Some(switch) = switch else { continue };
            if let Some(Setting { value, source }) = into.replace(switch) {
                self.overridden.push(Overridden { setting, value: value.to_string(), source });
            }
        }
    }
}

/// A domain's Group Policy, from the domain or as it was kept, and why it was not read anew.
fn of_domain(
    locations: &Locations,
    refresh: &Refresh,
    mut question: Question,
    now: SystemTime,
) -> Result<(Option<Snapshot>, Option<String>), Error> {
    let own = locations.caches.first();
    let kept = kept(locations, &question)?;
    // A time in the future is no age.
    let fresh = |kept: &Snapshot| now.duration_since(kept.read_at).is_ok_and(|age| age < cache::STALE);
    match refresh {
        Refresh::Never => return Ok((kept, None)),
        Refresh::WhenStale if kept.as_ref().is_some_and(fresh) => return Ok((kept, None)),
        Refresh::WhenStale => {
            // Not every command waits for a domain that is out of reach.
            let tried = own.and_then(|folder| cache::failed_at(folder, &question.domain));
            let lately = tried.is_some_and(|at| now.duration_since(at).is_ok_and(|age| age < cache::PAUSE));
            if lately && kept.is_some() {
                return Ok((kept, Some("the domain did not answer some minutes ago".to_owned())));
            }
        }
        Refresh::Now { within } => question.within = *within,
    }
    match (domain::read(&question, now), refresh, kept) {
        (Ok(snapshot), _, _) => {
            let saved = own.map_or(Ok(()), |folder| cache::save(folder, &snapshot));
            match (saved, refresh) {
                (Err(error), Refresh::Now { .. }) => Err(error),
                (saved, _) => Ok((Some(snapshot), saved.err().map(|error| error.to_string()))),
            }
        }
        (Err(error), Refresh::Now { .. }, _) => Err(error),
        (Err(error), _, Some(kept)) => {
            if let Some(Err(error)) = own.map(|folder| cache::note_failure(folder, &question.domain, now)) {
                tracing::debug!(%error, "the failure is not remembered");
            }
            tracing::warn!(domain = question.domain, %error, "Group Policy is not read anew, the one that was kept is obeyed");
            Ok((Some(kept), Some(error.to_string())))
        }
        (Err(error), _, None) => Err(Error::NeverRead { domain: question.domain, reason: error.to_string() }),
    }
}

/// The newest that was kept for this domain and machine.
fn kept(locations: &Locations, question: &Question) -> Result<Option<Snapshot>, Error> {
    let mut newest: Option<Snapshot> = None;
    for folder in &locations.caches {
        let found = cache::load(folder, &question.domain)?.filter(|found| found.machine == question.machine);
        if let Some(found) = found
            && newest.as_ref().is_none_or(|known| known.read_at < found.read_at)
        {
            newest = Some(found);
        }
    }
    Ok(newest)
}
