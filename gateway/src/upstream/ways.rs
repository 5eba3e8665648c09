//! How each upstream is spoken to: as configured for its host and port, else in the usual way.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{
    Address, Connector,
    tls::{UnfitTls, UpstreamTls},
};
use crate::settings::UpstreamSettings;

/// The ways to all upstreams.
#[derive(Debug)]
pub struct Ways {
    configured: Vec<Way>,
    usual: Way,
}

/// The way to one upstream.
#[derive(Debug)]
struct Way {
    settings: UpstreamSettings,
    /// Read when it is needed: the usual way asks the machine whom it trusts, and without TLS nobody wants to know.
    tls: OnceLock<Arc<UpstreamTls>>,
}

/// An upstream that cannot be spoken to as configured.
#[derive(Debug, thiserror::Error)]
#[error("upstream {upstream}: {reason}")]
pub struct UnfitWay {
    upstream: String,
    reason: UnfitTls,
}

impl Ways {
    /// Reads what is configured.
    ///
    /// # Errors
    /// Files that cannot be read or used, by the upstream they are for.
    pub fn new(settings: &[UpstreamSettings]) -> Result<Self, UnfitWay> {
        let ways = Self {
            configured: settings.iter().cloned().map(Way::new).collect(),
            usual: Way::new(UpstreamSettings::default()),
        };
        for way in ways.configured.iter().filter(|way| way.settings.has_tls()) {
            way.tls(&way.settings.authority)?;
        }
        Ok(ways)
    }

    /// The connector to an upstream.
    ///
    /// # Errors
    /// TLS where this machine trusts nobody.
    pub fn connector(&self, address: &Address) -> Result<Connector, UnfitWay> {
        let authority = address.authority.as_str();
        let configured =
            self.configured.iter().find(|way| way.settings.authority.eq_ignore_ascii_case(authority));
        let way = configured.unwrap_or(&self.usual);
        let tls = if address.is_tls() { Some(way.tls(authority)?) } else { None };
        Ok(Connector::new(address.clone(), way.settings.http2, tls))
    }

    /// Takes files of certificates anew when they change, and at SIGHUP. Ends when stopped.
    pub async fn follow(&self, every: Duration, stop: &CancellationToken) {
        let each = self.configured.iter().filter_map(|way| {
            let tls = way.tls.get()?;
            let hang_ups = http_service::hang_ups()
                .inspect_err(|error| tracing::error!(%error, "SIGHUP cannot be heard"))
                .ok()?;
            Some(tls.follow(&way.settings, every, hang_ups, stop.clone()))
        });
        join_all(each).await;
    }
}

impl Way {
    fn new(settings: UpstreamSettings) -> Self {
        Self { settings, tls: OnceLock::new() }
    }

    fn tls(&self, upstream: &str) -> Result<Arc<UpstreamTls>, UnfitWay> {
        if let Some(tls) = self.tls.get() {
            return Ok(Arc::clone(tls));
        }
        let read = UpstreamTls::read(&self.settings)
            .map_err(|reason| UnfitWay { upstream: upstream.to_owned(), reason })?;
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(read))))
    }
}
