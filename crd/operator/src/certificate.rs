//! Certificate: what the webhooks show to the API server, and what it trusts.
//!
//! It is kept in a Secret of the operator's namespace, with the names that cert-manager gives to its parts: either makes
//! it. Ours are short-lived, each of an authority of its own, whose key is forgotten once it has signed: nothing that
//! lies around can make another. While an older authority is not over it is trusted beside the new one.

mod issue;
mod keeper;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;

pub(crate) use issue::issue;
pub(crate) use keeper::{Keeper, Keeping, Served};

/// Parts of the Secret, as those of type `kubernetes.io/tls` and of cert-manager.
const AUTHORITIES: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// A certificate with its key, and the authorities to trust; PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The newest authority first.
    pub(crate) authorities: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Pair {
    /// What a Secret has; `None` if a part is missing.
    fn of(secret: &Secret) -> Option<Pair> {
        let part = |name: &str| secret.data.as_ref()?.get(name).map(|it| it.0.clone());
        Some(Pair {
            authorities: part(AUTHORITIES).unwrap_or_default(),
            certificate: part(CERTIFICATE)?,
            key: part(KEY)?,
        })
    }

    /// The parts of a Secret.
    fn data(&self) -> std::collections::BTreeMap<String, ByteString> {
        let parts =
            [(AUTHORITIES, &self.authorities), (CERTIFICATE, &self.certificate), (KEY, &self.key)];
        parts.map(|(name, it)| (name.to_owned(), ByteString(it.clone()))).into()
    }

    /// From when until when it may be shown, in seconds since 1970.
    ///
    /// # Errors
    /// If it is no certificate.
    fn validity(&self) -> Result<(i64, i64), ErrorStack> {
        let certificate = X509::from_pem(&self.certificate)?;
        Ok((unix(certificate.not_before())?, unix(certificate.not_after())?))
    }

    /// Whether it is for all of these names.
    fn is_for(&self, names: &[String]) -> bool {
        let Ok(certificate) = X509::from_pem(&self.certificate) else { return false };
        let Some(has) = certificate.subject_alt_names() else { return names.is_empty() };
        names.iter().all(|name| match name.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(it)) => {
                has.iter().any(|n| n.ipaddress() == Some(&it.octets()[..]))
            }
            Ok(std::net::IpAddr::V6(it)) => {
                has.iter().any(|n| n.ipaddress() == Some(&it.octets()[..]))
            }
            Err(_) => has.iter().any(|n| n.dnsname() == Some(name)),
        })
    }

    /// What shows it.
    ///
    /// # Errors
    /// If a part is not what it should be, or key and certificate do not belong together.
    fn acceptor(&self) -> Result<SslAcceptor, ErrorStack> {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        let mut chain = X509::stack_from_pem(&self.certificate)?.into_iter();
        if let Some(first) = chain.next() {
            acceptor.set_certificate(&first)?;
        }
        chain.try_for_each(|it| acceptor.add_extra_chain_cert(it))?;
        let key = PKey::private_key_from_pem(&self.key)?;
        acceptor.set_private_key(&key)?;
        acceptor.check_private_key()?;
        Ok(acceptor.build())
    }
}

/// Seconds since 1970.
fn unix(time: &Asn1TimeRef) -> Result<i64, ErrorStack> {
    let epoch = Asn1Time::from_unix(0)?;
    let since = epoch.diff(time)?;
    Ok(i64::from(since.days) * 86_400 + i64::from(since.secs))
}
