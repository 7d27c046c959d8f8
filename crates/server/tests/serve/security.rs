//! The client's end of authentication: a bare Kerberos token, then sealed bodies.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{BoxFuture, FutureExt as _};
use hop_auth::{BodyClass, Sealer};
use hop_client::security::{Body, Channel, Provider, Security};
use hop_client::{Cause, Error};
use hop_kerberos::gss::{ExpectApRep, GssFlags, Initiator, InitiatorOptions};

use crate::domain::Tickets;

pub struct Kerberos(pub Tickets);

impl Provider for Kerberos {
    fn begin(&self, _: Channel) -> BoxFuture<'_, Result<Box<dyn Security>, Error>> {
        let link: Box<dyn Security> = Box::new(Link::new(self.0.clone()));
        async { Ok(link) }.boxed()
    }
}

/// One connection's security.
pub struct Link {
    tickets: Tickets,
    expected: Option<ExpectApRep>,
    sealer: Option<Sealer>,
}

impl Link {
    pub fn new(tickets: Tickets) -> Self {
        Self { tickets, expected: None, sealer: None }
    }
}

impl Security for Link {
    fn start(&mut self) -> Result<Option<String>, Cause> {
        let options = InitiatorOptions {
            credential: &self.tickets.service,
            forwarded: self.tickets.forwarded.as_ref(),
            channel_bindings: None,
            advertise_bindings: false,
            flags: GssFlags::MUTUAL
                | GssFlags::REPLAY
                | GssFlags::SEQUENCE
                | GssFlags::CONF
                | GssFlags::INTEG,
        };
        let (token, expected) = Initiator::new(&options, SystemTime::now(), &mut rand::rng())?;
        self.expected = Some(expected);
        Ok(Some(format!("Kerberos {}", STANDARD.encode(token))))
    }

    fn handle(&mut self, challenges: &[&str], accepted: bool) -> Result<Option<String>, Cause> {
        if !accepted {
            return Err(format!("refused: {challenges:?}").into());
        }
        let token = challenges.iter().find_map(|c| c.strip_prefix("Kerberos ")).ok_or("no token")?;
        let expected = self.expected.take().ok_or("twice")?;
        let context = expected.handle(&STANDARD.decode(token)?)?;
        self.sealer = Some(Sealer::new(Box::new(context), BodyClass::Kerberos));
        Ok(None)
    }

    fn seal(&mut self, body: Body) -> Result<Body, Cause> {
        let sealer = self.sealer.as_mut().ok_or("not authenticated")?;
        let sealed = sealer.seal(&body.content_type, &body.bytes)?;
        Ok(Body { content_type: sealed.content_type, bytes: sealed.body })
    }

    fn unseal(&mut self, body: Body) -> Result<Body, Cause> {
        let sealer = self.sealer.as_mut().ok_or("not authenticated")?;
        let unsealed = sealer.unseal(&body.content_type, &body.bytes)?;
        Ok(Body { content_type: unsealed.content_type, bytes: unsealed.body })
    }
}
