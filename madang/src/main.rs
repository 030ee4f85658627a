//! Madang in one process: the four services, embedded storage, the web pages, and a demo broadcast.

mod banner;
mod config;
mod demo;
mod launch;
mod token;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use service_kit::{process, telemetry};

use crate::config::{Command, Config, Flags};

fn main() -> ExitCode {
    process::end(start())
}

fn start() -> anyhow::Result<ExitCode> {
    let command = Flags::command().after_long_help(Config::help());
    let mut flags = Flags::from_arg_matches(&command.get_matches())?;
    let env = service_kit::config::environment();
    if let Some(Command::Token(token)) = flags.command.take() {
        let config = Config::layers(&flags, &env)?.with_dev_secrets()?;
        telemetry::say(&token.mint(&config.token_keys()?, service_kit::unix_now()));
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::load(&flags, &env)?.with_dev_secrets()?;
    telemetry::init(config.log_format, &config.log);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(launch::run(config))?;
    Ok(ExitCode::SUCCESS)
}
