//! `pmsgate serve`: run until told to stop.

use anyhow::Result;

use crate::{
    House,
    cli::{Common, Part, Serve},
    output::print_text,
    serve::{self, Running},
    telemetry,
};

pub(super) async fn run(common: &Common, options: &Serve) -> Result<()> {
    let house = House::open(common)?;
    telemetry::install(&house.settings.telemetry)?;
    // Asked for before anything listens, so that a signal that comes early is not lost.
    let termination = http_service::termination();
    tokio::pin!(termination);
    let running = tokio::select! {
        running = serve::start(&house, options) => running?,
        signalled = &mut termination => return Ok(signalled?),
    };
    print_text(&welcome(&running, options.part))?;
    termination.await?;
    tracing::info!("stopping: requests in flight are finished");
    running.stop().await;
    Ok(())
}

fn welcome(running: &Running, part: Part) -> String {
    let ready = &running.ready;
    let mut text = String::new();
    for path in &running.made {
        text += &format!("made {}\n", path.display());
    }
    let name = match part {
        Part::All => "pmsgate",
        Part::Authz => "the authorization server",
        Part::Gateway => "the gateway",
        Part::Backend => "the product backend",
    };
    text += &format!("{name} is ready on {}  (metrics and health on {})\n", ready.base_url, ready.admin_url);
    if let Some(url) = &ready.portal_url {
        text += &format!("portal: {url}\n");
    }
    if let Some(lines) = &running.first_call {
        text += "\nYour first call: paste these into another terminal (a token, a search, a read).\n\n";
        text += &lines.join("\n\n");
        text += "\n\n";
    }
    text
}
