//! The signaling service as a process of its own.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use serde::Serialize;
use service_kit::{process, telemetry};
use signaling_service::Signaling;

/// STOMP over WebSocket: rooms, chat, presence, viewer counts.
///
/// Settings come from a file, then from variables `SIGNALING_...`, then from flags. `--help` lists them all.
#[derive(Debug, Parser, Serialize)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    #[serde(flatten)]
    process: process::Flags,
    /// Development mode
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,
}

fn main() -> ExitCode {
    process::end(start())
}

fn start() -> anyhow::Result<ExitCode> {
    let command = Flags::command().after_long_help(process::help::<Signaling>());
    let flags = Flags::from_arg_matches(&command.get_matches())?;
    let (process, config) = process::load::<Signaling>(flags.process.config.clone(), &flags)?;
    telemetry::init(process.log_format, &process.log);
    actix_web::rt::System::new().block_on(process::run::<Signaling>(&process, config, Vec::new(), alone))?;
    Ok(ExitCode::SUCCESS)
}

/// Nothing runs beside the service.
async fn alone(_: &Signaling) -> std::io::Result<()> {
    std::future::pending().await
}
