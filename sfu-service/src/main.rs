//! The SFU as a process of its own.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use serde::Serialize;
use service_kit::{process, telemetry};
use sfu_service::SfuService;

/// SFU: WHIP in, WHEP out.
///
/// Settings come from a file, then from variables `SFU_...`, then from flags. `--help` lists them all.
#[derive(Debug, Parser, Serialize)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    #[serde(flatten)]
    process: process::Flags,
    /// UDP and TCP port of the first shard
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    media_port: Option<u16>,
    /// Development mode
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,
}

fn main() -> ExitCode {
    process::end(start())
}

fn start() -> anyhow::Result<ExitCode> {
    let command = Flags::command().after_long_help(process::help::<SfuService>());
    let flags = Flags::from_arg_matches(&command.get_matches())?;
    let (process, config) = process::load::<SfuService>(flags.process.config.clone(), &flags)?;
    telemetry::init(process.log_format, &process.log);
    actix_web::rt::System::new().block_on(process::run::<SfuService>(&process, config, Vec::new(), alone))?;
    Ok(ExitCode::SUCCESS)
}

/// Nothing runs beside the service.
async fn alone(_: &SfuService) -> std::io::Result<()> {
    std::future::pending().await
}
