//! The TURN relay as a process of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use contract::turn::TurnSecret;
use prometheus_client::registry::Registry;
use serde::Serialize;
use service_kit::process::Process;
use service_kit::shutdown::CancellationToken;
use service_kit::{Readiness, admin, process, shutdown, telemetry};
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

fn main() -> anyhow::Result<ExitCode> {
    let flags = Flags::parse();
    match &flags.command {
        Some(Command::CheckConfig { file }) => Ok(check_config(file.as_deref(), &flags)),
        Some(Command::Doctor(doctor)) => examine(doctor),
        None => {
            actix_web::rt::System::new().block_on(serve(&flags))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn load(file: Option<&Path>, flags: &Flags) -> anyhow::Result<(Process, Config)> {
    let (process, config): (_, Config) = process::load("TURN_", 8084, file.map(Path::to_owned), flags)?;
    config.validate()?;
    Ok((process, config))
}

fn check_config(file: Option<&Path>, flags: &Flags) -> ExitCode {
    let config = match load(file, flags) {
        Ok((_, config)) => config,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    print!("{}", check::effective(&config));
    let around = Surroundings::of_this_machine(&config);
    for warning in check::warnings(&config, &around) {
        eprintln!("warning: {warning}");
    }
    if let Err(why) = Certificate::of(&config) {
        eprintln!("error: {why}");
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

async fn serve(flags: &Flags) -> anyhow::Result<()> {
    let file = flags.process.config.clone().or_else(|| std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from));
    // Before the first reading: what changes after it is noticed.
    let mut watch = Watch::new(file.iter().cloned().collect());
    let (process, config) = load(file.as_deref(), flags)?;
    watch.also(certificate(&config));
    telemetry::init(process.log_format, &process.log);
    let stop = shutdown::on_signals().context("cannot listen for signals")?;
    for warning in check::warnings(&config, &Surroundings::of_this_machine(&config)) {
        tracing::warn!("{warning}");
    }

    let listener = TcpListener::bind(process.admin)
        .with_context(|| format!("cannot listen on {} (setting `admin`)", process.admin))?;
    let admin_addr = listener.local_addr()?;
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let relay = TurnRelay::start(config.clone(), &mut registry).await?;
    readiness.ready("turn");
    let stop_admin = CancellationToken::new();
    let serving = tokio::spawn(admin::serve(listener, readiness.clone(), registry, stop_admin.clone()));
    tracing::info!(turn.addresses = ?relay.listen_addrs(), admin.address = %admin_addr, "serving");

    let failed = tokio::select! {
        () = stop.cancelled() => false,
        () = relay.failed() => true,
        ended = follow(&relay, config, watch, file.as_deref(), flags) => { ended?; false }
    };
    readiness.not_ready("turn", if failed { "the relay thread has failed" } else { "draining" });
    relay.drain(if failed { Duration::ZERO } else { process.drain() }).await;
    stop_admin.cancel();
    serving.await??;
    anyhow::ensure!(!failed, "the relay thread has failed");
    tracing::info!("stopped");
    Ok(())
}

/// Applies changed settings, for as long as the relay serves. Ends only when signals cannot be heard.
async fn follow(
    relay: &TurnRelay,
    mut running: Config,
    mut watch: Watch,
    file: Option<&Path>,
    flags: &Flags,
) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let mut tick = tokio::time::interval(WATCH_EVERY);
    loop {
        tokio::select! {
            _ = hangup.recv() => watch.read(),
            _ = tick.tick() => if !watch.changed() { continue },
        }
        let changed = match load(file, flags) {
            Ok((_, config)) => config,
            Err(error) => {
                tracing::error!("the changed settings are not taken over: {error:#}");
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
