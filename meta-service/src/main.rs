//! The meta service as a process of its own: its routes, the web pages, and the admin port.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use meta_service::MetaService;
use serde::Serialize;
use service_kit::{process, telemetry};

/// The catalogue over REST, and the pages.
///
/// Settings come from a file, then from variables `META_...` (`META_DATABASE`, `META_TOKEN_SECRET`, ...), then from
/// flags. `--help` lists them all.
#[derive(Debug, Parser, Serialize)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    #[serde(flatten)]
    process: process::Flags,
    /// `postgres://...`, or the path of a SQLite file
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// Development mode
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,
    #[command(subcommand)]
    #[serde(skip)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings the schema of the database up to date and serves nothing
    Migrate,
}

fn main() -> ExitCode {
    process::end(start())
}

fn start() -> anyhow::Result<ExitCode> {
    let command = Flags::command().after_long_help(process::help::<MetaService>());
    let flags = Flags::from_arg_matches(&command.get_matches())?;
    let (process, config) = process::load::<MetaService>(flags.process.config.clone(), &flags)?;
    telemetry::init(process.log_format, &process.log);
    if matches!(flags.command, Some(Command::Migrate)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(meta_service::migrate(&config))?;
        tracing::info!("the schema of the database is up to date");
        return Ok(ExitCode::SUCCESS);
    }
    let pages = pages::routes(pages::Config {
        dev: config.dev,
        signaling_url: config.signaling_socket_url(),
        sfu_url: config.sfu_public_url.trim_end_matches('/').to_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
        lan_url: String::new(),
        connect_origins: config.other_origins(),
        embed_origins: config.embed_origins.clone(),
    });
    actix_web::rt::System::new().block_on(process::run::<MetaService>(
        &process,
        config,
        vec![pages],
        alone,
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Nothing runs beside the service.
async fn alone(_: &MetaService) -> std::io::Result<()> {
    std::future::pending().await
}
