//! Madang in one process: the four services, embedded storage, the web pages, and a demo broadcast.

mod banner;
mod config;
mod demo;
mod launch;

use clap::Parser as _;

use crate::config::{Config, Flags};

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let env: Vec<(String, String)> = std::env::vars().collect();
    let config = Config::load(&flags, &env)?.with_dev_secrets()?;
    service_kit::telemetry::init(config.log_format, &config.log);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(launch::run(config))
}
