//! Listener: one of the ways in which a broker is spoken to.

/// All that a broker has. The number is that of its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Between controllers.
    Controller,
    /// Plain text. Brokers among themselves use it too, and the kit.
    Plain,
    /// Plain text, behind the proxy.
    Proxied,
    /// TLS; the client shows no certificate.
    Tls,
    /// TLS; the client must show a certificate of the cluster's authority.
    MutualTls,
    /// SASL in plain text.
    Sasl,
    /// SASL in TLS.
    SaslTls,
}

impl Listener {
    /// All of them.
    pub const ALL: [Listener; 7] = [
        Listener::Controller,
        Listener::Plain,
        Listener::Proxied,
        Listener::Tls,
        Listener::MutualTls,
        Listener::Sasl,
        Listener::SaslTls,
    ];

    /// As it is called in a broker's properties.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Listener::Controller => "CONTROLLER",
            Listener::Plain => "PLAIN",
            Listener::Proxied => "PROXIED",
            Listener::Tls => "TLS",
            Listener::MutualTls => "MUTUALTLS",
            Listener::Sasl => "SASL",
            Listener::SaslTls => "SASLTLS",
        }
    }

    /// Kafka's name of what is spoken.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        match self {
            Listener::Controller | Listener::Plain | Listener::Proxied => "PLAINTEXT",
            Listener::Tls | Listener::MutualTls => "SSL",
            Listener::Sasl => "SASL_PLAINTEXT",
            Listener::SaslTls => "SASL_SSL",
        }
    }
}
