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
    let name = match part {
        Part::All => "pmsgate",
        Part::Authz => "the authorization server",
        Part::Gateway => "the gateway",
        Part::Backend => "the product backend",
    };
    let mut lines: Vec<String> = running.made.iter().map(|path| format!("made {}", path.display())).collect();
    lines.push(format!("{name} is ready on {}  (metrics and health on {})", ready.base_url, ready.admin_url));
    lines.extend(ready.portal_url.iter().map(|url| format!("portal: {url}")));
    if let Some(first_call) = &running.first_call {
        lines.push(String::new());
        lines.push(
            "Your first call: paste these into another terminal (a token, a search, a read).".to_owned(),
        );
        for line in first_call {
            lines.push(String::new());
            lines.push(line.clone());
        }
        lines.push(String::new());
    }
    lines.join("\n") + "\n"
}
