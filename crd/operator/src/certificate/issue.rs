//! Issue: makes an authority and a certificate of it.

use std::time::Duration;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

use super::{Pair, unix};

/// Clocks of nodes differ by less.
const BACKDATED_SECONDS: i64 = 60;
/// An authority outlives its certificate by its whole life: it is trusted until the last replica shows the next.
const AUTHORITY_LIVES: i64 = 2;
/// Most authorities that are trusted at a time: the new one, and those before it.
const AUTHORITIES_MAX: usize = 3;

/// A certificate for the names, with an authority of its own, before those of `earlier` that are not over.
///
/// # Errors
/// If OpenSSL has no entropy or no memory.
pub(crate) fn issue(
    names: &[String],
    lasts: Duration,
    now: i64,
    earlier: Option<&Pair>,
) -> Result<Pair, ErrorStack> {
    let lasts = i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX / 4);
    let (authority_key, key) = (new_key()?, new_key()?);
    // Of another name than the one before it, so that nobody takes one for the other.
    let name = name(&format!("logferry-operator {now}"))?;
    let mut authority = begin(&name, &name, &authority_key, now, now + AUTHORITY_LIVES * lasts)?;
    authority.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
    authority.append_extension(KeyUsage::new().critical().key_cert_sign().build()?)?;
    let id = SubjectKeyIdentifier::new().build(&authority.x509v3_context(None, None))?;
    authority.append_extension(id)?;
    authority.sign(&authority_key, MessageDigest::sha256())?;
    let authority = authority.build();

    let subject = self::name("logferry-operator webhook")?;
    let mut leaf = begin(&subject, &name, &key, now, now + lasts)?;
    leaf.append_extension(BasicConstraints::new().critical().build()?)?;
    leaf.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    leaf.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let mut alternative = SubjectAlternativeName::new();
    for name in names {
        match name.parse::<std::net::IpAddr>() {
            Ok(_) => alternative.ip(name),
            Err(_) => alternative.dns(name),
        };
    }
    let context = leaf.x509v3_context(Some(&authority), None);
    let further =
        [alternative.build(&context)?, AuthorityKeyIdentifier::new().keyid(true).build(&context)?];
    further.into_iter().try_for_each(|it| leaf.append_extension(it))?;
    leaf.sign(&authority_key, MessageDigest::sha256())?;

    let mut authorities = authority.to_pem()?;
    for older in still_trusted(earlier, now) {
        authorities.extend(older.to_pem()?);
    }
    let certificate = leaf.build().to_pem()?;
    Ok(Pair { authorities, certificate, key: key.private_key_to_pem_pkcs8()? })
}

/// Authorities before the one that is made now, the newest first.
fn still_trusted(earlier: Option<&Pair>, now: i64) -> Vec<X509> {
    let all = earlier.and_then(|it| X509::stack_from_pem(&it.authorities).ok()).unwrap_or_default();
    let lasts = |it: &X509| unix(it.not_after()).is_ok_and(|end| end > now);
    all.into_iter().filter(lasts).take(AUTHORITIES_MAX - 1).collect()
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&curve)?)
}

fn name(common: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", common)?;
    Ok(name.build())
}

fn begin(
    subject: &X509Name,
    issuer: &X509Name,
    key: &PKey<Private>,
    now: i64,
    until: i64,
) -> Result<X509Builder, ErrorStack> {
    let mut serial = BigNum::new()?;
    // RFC 5280 allows 20 octets; 127 bits are never negative.
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    let serial: Asn1Integer = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    let (from, until) =
        (Asn1Time::from_unix(now - BACKDATED_SECONDS)?, Asn1Time::from_unix(until)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use openssl::stack::Stack;
    use openssl::x509::X509StoreContext;
    use openssl::x509::store::X509StoreBuilder;

    use super::*;

    const DAY: u64 = 86_400;
    const NOW: i64 = 1_800_000_000;

    fn names() -> Vec<String> {
        vec!["webhook.logs.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    /// Whether who trusts one's authorities accepts the other, at that time.
    fn trusts(trusted: &Pair, shown: &Pair, at: i64) -> bool {
        let mut store = X509StoreBuilder::new().unwrap();
        for authority in X509::stack_from_pem(&trusted.authorities).unwrap() {
            store.add_cert(authority).unwrap();
        }
        let mut parameters = openssl::x509::verify::X509VerifyParam::new().unwrap();
        parameters.set_time(at);
        store.set_param(&parameters).unwrap();
        let store = store.build();
        let shown = X509::from_pem(&shown.certificate).unwrap();
        let chain = Stack::new().unwrap();
        let mut context = X509StoreContext::new().unwrap();
        context.init(&store, &shown, &chain, |it| it.verify_cert()).unwrap()
    }

    #[test]
    fn a_certificate_is_for_its_names_and_its_time() {
        let pair = issue(&names(), Duration::from_secs(DAY), NOW, None).unwrap();
        assert!(pair.is_for(&names()));
        assert!(!pair.is_for(&["other.logs.svc".to_owned()]) && !pair.is_for(&["::1".to_owned()]));
        assert_eq!(pair.validity().unwrap(), (NOW - 60, NOW + 86_400));
        pair.acceptor().unwrap();
        assert!(trusts(&pair, &pair, NOW) && trusts(&pair, &pair, NOW + 86_399));
        assert!(!trusts(&pair, &pair, NOW + 86_401));
    }

    #[test]
    fn old_and_new_are_both_trusted_while_they_change_and_what_is_over_is_forgotten() {
        let lasts = Duration::from_secs(DAY);
        let first = issue(&names(), lasts, NOW, None).unwrap();
        let second = issue(&names(), lasts, NOW + 60_000, Some(&first)).unwrap();
        assert!(trusts(&second, &first, NOW + 60_001) && trusts(&second, &second, NOW + 60_001));
        assert!(!trusts(&first, &second, NOW + 60_001), "another authority");
        let mut last = second;
        for number in 0..5 {
            last = issue(&names(), lasts, NOW + 70_000 + number, Some(&last)).unwrap();
        }
        assert_eq!(X509::stack_from_pem(&last.authorities).unwrap().len(), AUTHORITIES_MAX);
        let later = issue(&names(), lasts, NOW + 1_000_000, Some(&last)).unwrap();
        assert_eq!(X509::stack_from_pem(&later.authorities).unwrap().len(), 1);
    }
}
