//! The command line of the coordinator, and how it lays itself over the configuration file.
//!
//! Flags win over the environment, the environment over the file, the file over the defaults.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;

use crate::{
    config::{
        Config, ConfigError, Contents, LogFormat, ParseDurationError, Session, parse_duration,
    },
    reload::{Known, Loaded, Source},
};

#[cfg(test)]
mod tests;

/// The exit code of a wrong flag or configuration: `EX_USAGE` of sysexits.h.
pub const EXIT_USAGE: u8 = 64;

/// The coordinator of Leasehold: keeps tasks in a durable priority queue and leases them to workers.
///
/// Exit codes: 0 done, 64 wrong flag or configuration, 73 the data directory is in use, 75 the journal failed (start
/// again); more in docs/operate.md.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "leasehold-coordinator", version)]
pub struct Args {
    /// Configuration file (YAML), looked at again while the coordinator runs. Every key: config/coordinator.yaml
    #[arg(long, env = "LEASEHOLD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address for gRPC [default: 127.0.0.1:7171]
    #[arg(long, env = "LEASEHOLD_LISTEN", value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,

    /// Address for metrics and health over HTTP [default: 127.0.0.1:7172]
    #[arg(long, env = "LEASEHOLD_OPS_LISTEN", value_name = "IP:PORT")]
    pub ops_listen: Option<SocketAddr>,

    /// Data directory [default: leasehold-data]
    #[arg(long, env = "LEASEHOLD_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Allow addresses that other machines can reach, although nobody is authenticated
    #[arg(long, env = "LEASEHOLD_INSECURE", value_parser = clap::builder::BoolishValueParser::new())]
    pub insecure: bool,

    /// How long a worker may believe in its leases after its last acknowledged heartbeat [default: 20s]
    #[arg(long, env = "LEASEHOLD_SESSION_TTL", value_name = "DURATION", value_parser = duration)]
    pub session_ttl: Option<Duration>,

    /// How often a worker says that it lives [default: a quarter of the session TTL]
    #[arg(long, env = "LEASEHOLD_HEARTBEAT_INTERVAL", value_name = "DURATION", value_parser = duration)]
    pub heartbeat_interval: Option<Duration>,

    /// Where to send traces: OTLP over gRPC
    #[arg(long, env = "LEASEHOLD_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Shape of the log lines [default: text]
    #[arg(long, env = "LEASEHOLD_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Which log lines to write: a level, or target=level,... [default: info]
    #[arg(long, env = "LEASEHOLD_LOG", value_name = "FILTER")]
    pub log_filter: Option<String>,

    /// Check flags and configuration, say so and exit
    #[arg(long)]
    pub check: bool,

    /// Print the whole configuration as YAML and exit
    #[arg(long, conflicts_with = "check")]
    pub print_config: bool,
}

impl Args {
    /// Reads the command line. What is only to be printed (help, the version, what is wrong with a flag) is printed,
    /// and the process has nothing more to do than to exit with the code.
    pub fn from_command_line() -> Result<Self, u8> {
        Self::try_parse().map_err(|error| {
            // Without somewhere to print to, the exit code says enough.
            drop(error.print());
            if error.use_stderr() { EXIT_USAGE } else { 0 }
        })
    }

    /// The configuration: the file if one is named, with the flags laid over it, checked.
    pub fn config(&self) -> Result<Loaded, ConfigError> {
        let Some(path) = &self.config else {
            let mut config = Config::default();
            self.lay_over(&mut config);
            config.check()?;
            return Ok(Loaded { config, source: Source { file: None, args: self.clone() } });
        };
        let contents = Contents::read(path)?;
        let config = self.over(&contents.text, path)?;
        let file = Some(Known::new(path.clone(), &contents));
        Ok(Loaded { config, source: Source { file, args: self.clone() } })
    }

    /// What the text of a file means with the flags laid over it, checked. `path` is only for the error.
    pub fn over(&self, text: &str, path: &Path) -> Result<Config, ConfigError> {
        let mut config = Config::parse(text, path)?;
        self.lay_over(&mut config);
        config.check().map_err(|error| error.placed(text, path))?;
        Ok(config)
    }

    fn lay_over(&self, config: &mut Config) {
        fn set<T: Clone>(flag: Option<&T>, key: &mut T) {
            if let Some(value) = flag {
                key.clone_from(value);
            }
        }
        // A flag for the TTL alone asks for its own heartbeats too.
        if let Some(ttl) = self.session_ttl {
            config.session = Session::lasting(ttl);
        }
        set(self.heartbeat_interval.as_ref(), &mut config.session.heartbeat_interval);
        set(self.listen.as_ref(), &mut config.listen);
        set(self.ops_listen.as_ref(), &mut config.ops_listen);
        set(self.data.as_ref(), &mut config.data);
        set(self.otlp_endpoint.as_ref(), &mut config.telemetry.otlp_endpoint);
        set(self.log_format.as_ref(), &mut config.telemetry.log_format);
        set(self.log_filter.as_ref(), &mut config.telemetry.log_filter);
        config.insecure |= self.insecure;
    }
}

fn duration(text: &str) -> Result<Duration, ParseDurationError> {
    parse_duration(text)
}
