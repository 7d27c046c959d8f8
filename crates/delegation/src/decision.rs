use crate::{Mode, Reason};

/// What a client knows of its ticket-granting ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TgtFacts {
    /// The flag FORWARDABLE (RFC 4120 section 2.6).
    pub forwardable: bool,
}

/// What a client knows before it sends the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientFacts {
    /// The user's choice.
    pub mode: Mode,
    /// The ticket-granting ticket, if there is one: a credential cache may hold only tickets for services.
    pub tgt: Option<TgtFacts>,
    /// The flag OK-AS-DELEGATE of the ticket for the target host (RFC 4120 section 2.8).
    pub ticket_ok_as_delegate: bool,
}

/// What may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum Decision {
    /// Get a ticket-granting ticket with the option FORWARDED and send it along.
    Forward,
    /// Send no ticket: the host gets the password, by CredSSP, if it proves its name.
    Password,
    /// Send nothing.
    Nothing {
        /// Why not.
        reason: Reason,
    },
}

impl Decision {
    /// Why nothing travels, or `None` when something does.
    pub fn reason(self) -> Option<Reason> {
        match self {
            Decision::Forward | Decision::Password => None,
            Decision::Nothing { reason } => Some(reason),
        }
    }

    /// The user insisted and does not get it: worth a warning before the session starts, not only at the second hop.
    pub fn disappoints(self, mode: Mode) -> bool {
        mode == Mode::Forward && self.reason().is_some()
    }
}

/// Decides what travels to a host.
///
/// An obstacle that the user cannot pass by insisting comes before one that the user can pass, so that each
/// remedy, once applied, changes the outcome.
pub fn decide(facts: ClientFacts) -> Decision {
    let reason = match (facts.mode, facts.tgt) {
        (Mode::Never, _) => Reason::ClientChoseNot,
        (Mode::Constrained, _) => Reason::ClientChoseConstrained,
        (Mode::CredSsp, _) => return Decision::Password,
        (_, None) => Reason::NoTicketGrantingTicket,
        (_, Some(TgtFacts { forwardable: false })) => Reason::TicketNotForwardable,
        (Mode::Auto, Some(_)) if !facts.ticket_ok_as_delegate => Reason::HostNotTrusted,
        (Mode::Auto | Mode::Forward, Some(_)) => return Decision::Forward,
    };
    Decision::Nothing { reason }
}

/// What remains of a decision to forward after the KDC refused the forwarded ticket.
///
/// `code` is the KDC's error code (RFC 4120 section 7.5.9). KDC_ERR_BADOPTION (13) and KDC_ERR_POLICY (12) are
/// what a KDC says of accounts that must not be delegated.
pub fn after_kdc_refusal(code: i32) -> Decision {
    Decision::Nothing { reason: Reason::KdcRefused { code } }
}
