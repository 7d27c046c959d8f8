//! Bit sets of RFC 4120, numbered as the RFC does: bit 0 is the most significant of 32.

use bitflags::bitflags;

bitflags! {
    /// Ticket flags (RFC 4120 5.3), in the order of a credential cache's 32-bit field.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct TicketFlags: u32 {
        /// forwardable(1): a TGT with other addresses may be had from this one.
        const FORWARDABLE = 1 << 30;
        /// forwarded(2): is a forwarded ticket, or comes from one.
        const FORWARDED = 1 << 29;
        /// proxiable(3).
        const PROXIABLE = 1 << 28;
        /// proxy(4).
        const PROXY = 1 << 27;
        /// may-postdate(5).
        const MAY_POSTDATE = 1 << 26;
        /// postdated(6).
        const POSTDATED = 1 << 25;
        /// invalid(7): must be validated before use.
        const INVALID = 1 << 24;
        /// renewable(8).
        const RENEWABLE = 1 << 23;
        /// initial(9): comes from an AS exchange.
        const INITIAL = 1 << 22;
        /// pre-authent(10): the client proved itself before the ticket was issued.
        const PRE_AUTHENT = 1 << 21;
        /// hw-authent(11).
        const HW_AUTHENT = 1 << 20;
        /// transited-policy-checked(12).
        const TRANSITED_POLICY_CHECKED = 1 << 19;
        /// ok-as-delegate(13): the KDC says the service may be trusted with delegated credentials.
        const OK_AS_DELEGATE = 1 << 18;
        /// enc-pa-rep(15): the reply carries encrypted padata (RFC 6806 11).
        const ENC_PA_REP = 1 << 16;
        /// anonymous(16) (RFC 8062).
        const ANONYMOUS = 1 << 15;
        // Whatever else a KDC sets is kept.
        const _ = !0;
    }
}

bitflags! {
    /// KDC options (RFC 4120 5.4.1).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct KdcOptions: u32 {
        /// forwardable(1).
        const FORWARDABLE = 1 << 30;
        /// forwarded(2).
        const FORWARDED = 1 << 29;
        /// proxiable(3).
        const PROXIABLE = 1 << 28;
        /// proxy(4).
        const PROXY = 1 << 27;
        /// allow-postdate(5).
        const ALLOW_POSTDATE = 1 << 26;
        /// postdated(6).
        const POSTDATED = 1 << 25;
        /// renewable(8).
        const RENEWABLE = 1 << 23;
        /// cname-in-addl-tkt(14): S4U2Proxy ([MS-SFU] 2.2.3).
        const CNAME_IN_ADDL_TKT = 1 << 17;
        /// canonicalize(15) (RFC 6806).
        const CANONICALIZE = 1 << 16;
        /// request-anonymous(16) (RFC 8062).
        const REQUEST_ANONYMOUS = 1 << 15;
        /// disable-transited-check(26).
        const DISABLE_TRANSITED_CHECK = 1 << 5;
        /// renewable-ok(27).
        const RENEWABLE_OK = 1 << 4;
        /// enc-tkt-in-skey(28): user-to-user.
        const ENC_TKT_IN_SKEY = 1 << 3;
        /// renew(30).
        const RENEW = 1 << 1;
        /// validate(31).
        const VALIDATE = 1;
        // Whatever else a client sets is kept.
        const _ = !0;
    }
}

bitflags! {
    /// AP options (RFC 4120 5.5.1).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct ApOptions: u32 {
        /// use-session-key(1): user-to-user.
        const USE_SESSION_KEY = 1 << 30;
        /// mutual-required(2).
        const MUTUAL_REQUIRED = 1 << 29;
        // Whatever else a client sets is kept.
        const _ = !0;
    }
}
