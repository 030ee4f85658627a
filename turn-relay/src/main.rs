//! The TURN relay as a process of its own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use contract::turn::TurnSecret;
use serde::Serialize;
use service_kit::config::ConfigError;
use service_kit::process::Process;
use service_kit::{process, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use turn_relay::check::{self, Surroundings};
use turn_relay::doctor::{self, Proof, Target};
use turn_relay::reload::{self, Watch};
use turn_relay::{Certificate, Config, TurnRelay};

/// How often the files of the settings are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// TURN relay (RFC 8656) with time-limited credentials and static users.
///
/// Settings come from a TOML file, then from variables `TURN_...` (`TURN_SECRET`, `TURN_PUBLIC_IPS`, ...), then from
/// flags. SIGTERM drains; SIGHUP, or a changed file, reloads secrets, users and certificates.
#[derive(Debug, Parser, Serialize)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Flags {
    #[command(flatten)]
    #[serde(flatten)]
    process: process::Flags,
    #[command(subcommand)]
    #[serde(skip)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what is wrong with the settings, what is doubtful, and what is in effect; serves nothing
    CheckConfig {
        /// Configuration file (TOML); variables count as they do when serving
        file: Option<PathBuf>,
    },
    /// Uses a TURN server, this one or any other, as a client would, and says what works, what does not, and why
    Doctor(DoctorFlags),
}

#[derive(Debug, Args)]
struct DoctorFlags {
    /// turn:host[:port][?transport=udp|tcp], turns:host[:port], or a host: then every transport is tried
    url: Target,
    /// User name; with --secret the expiry is put in front
    #[arg(long, default_value = "doctor")]
    user: String,
    /// Secret of the server, with which a time-limited credential is made
    #[arg(long, env = "TURN_SECRET", hide_env_values = true, required_unless_present = "password")]
    secret: Option<String>,
    /// Password of a static user, or of a whole time-limited user name
    #[arg(long, env = "TURN_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Root certificates (PEM) beside those of the system
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Seconds that an answer may take
    #[arg(long, default_value_t = 4)]
    timeout: u8,
}

/// The name of the variable with the file of the settings.
const CONFIG_VARIABLE: &str = "TURN_CONFIG";

fn main() -> ExitCode {
    process::end(start())
}

fn start() -> anyhow::Result<ExitCode> {
    let command = Flags::command().after_long_help(process::help::<TurnRelay>());
    let flags = Flags::from_arg_matches(&command.get_matches())?;
    match &flags.command {
        Some(Command::CheckConfig { file }) => Ok(check_config(file.as_deref(), &flags)),
        Some(Command::Doctor(doctor)) => examine(doctor),
        None => serve(&flags),
    }
}

fn load(file: Option<&Path>, flags: &Flags) -> Result<(Process, Config), ConfigError> {
    process::load::<TurnRelay>(file.map(Path::to_owned), flags)
}

fn check_config(file: Option<&Path>, flags: &Flags) -> ExitCode {
    let config = match load(file, flags) {
        Ok((_, config)) => config,
        Err(error) => {
            telemetry::say_error(&error);
            return ExitCode::FAILURE;
        }
    };
    print!("{}", check::effective(&config));
    let around = Surroundings::of_this_machine(&config);
    for warning in check::warnings(&config, &around) {
        eprintln!("warning: {warning}");
    }
    if let Err(why) = Certificate::of(&config) {
        telemetry::say_error(&why);
        return ExitCode::FAILURE;
    }
    eprintln!("the configuration is valid");
    ExitCode::SUCCESS
}

fn examine(flags: &DoctorFlags) -> anyhow::Result<ExitCode> {
    // A password on the command line is meant for this server, whatever the environment says.
    let proof = match (&flags.password, &flags.secret) {
        (Some(password), _) => Proof::Password(password.clone()),
        (None, Some(secret)) => Proof::Secret(TurnSecret::new(secret.clone())),
        (None, None) => anyhow::bail!("--secret or --password is needed"),
    };
    let options = doctor::Options {
        target: flags.url.clone(),
        user: flags.user.clone(),
        proof,
        patience: Duration::from_secs(flags.timeout.max(1).into()),
        roots: flags.ca.clone(),
    };
    let seen = doctor::examine(&options).with_context(|| format!("cannot examine {}", flags.url.host()))?;
    let diagnosis = doctor::diagnose(&seen);
    print!("{diagnosis}");
    Ok(if diagnosis.is_healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn serve(flags: &Flags) -> anyhow::Result<ExitCode> {
    let file = flags.process.config.clone().or_else(|| std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from));
    // Before the first reading: what changes after it is noticed.
    let mut watch = Watch::new(file.iter().cloned().collect());
    let (process, config) = load(file.as_deref(), flags)?;
    watch.also(certificate(&config));
    telemetry::init(process.log_format, &process.log);
    for warning in check::warnings(&config, &Surroundings::of_this_machine(&config)) {
        tracing::warn!("{warning}");
    }
    let running = config.clone();
    let reload = async |relay: &TurnRelay| follow(relay, running, watch, file.as_deref(), flags).await;
    actix_web::rt::System::new().block_on(process::run(&process, config, Vec::new(), reload))?;
    Ok(ExitCode::SUCCESS)
}

/// Applies changed settings, for as long as the relay serves. Ends only when signals cannot be heard.
async fn follow(
    relay: &TurnRelay,
    mut running: Config,
    mut watch: Watch,
    file: Option<&Path>,
    flags: &Flags,
) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut tick = tokio::time::interval(WATCH_EVERY);
    loop {
        tokio::select! {
            _ = hangup.recv() => watch.read(),
            _ = tick.tick() => if !watch.changed() { continue },
        }
        let changed = match load(file, flags) {
            Ok((_, config)) => config,
            Err(error) => {
                tracing::error!("the changed settings are not taken over: {error}");
                continue;
            }
        };
        if let Err(error) = relay.reload(&changed) {
            tracing::error!("the changed settings are not taken over: {error}");
            continue;
        }
        let later = reload::needs_restart(&running, &changed);
        if later.is_empty() {
            tracing::info!("secrets, users and certificates are read again");
        } else {
            tracing::warn!(settings = ?later, "secrets, users and certificates are read again; other settings that \
                have changed wait for a restart");
        }
        watch.also(certificate(&changed));
        // What waits for a restart is named again at each reload until it comes.
        running.secret = changed.secret;
        running.secret_previous = changed.secret_previous;
        running.users = changed.users;
        running.tls_cert = changed.tls_cert;
        running.tls_key = changed.tls_key;
    }
}

/// The files of the certificate.
fn certificate(config: &Config) -> Vec<PathBuf> {
    [&config.tls_cert, &config.tls_key].into_iter().flatten().cloned().collect()
}
