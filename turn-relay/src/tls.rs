//! The certificate of TLS and DTLS clients, which may be replaced while the relay runs.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::Config;

/// How long a DTLS handshake may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file with the chain is missing or not PEM.
    #[error("cannot read the certificate (setting `tls_cert`): {0}")]
    Chain(String),
    /// The file with the key is missing or not PEM.
    #[error("cannot read the private key (setting `tls_key`): {0}")]
    Key(String),
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("the certificate and its key cannot be used (settings `tls_cert`, `tls_key`): {0}")]
    Tls(String),
    /// The DTLS implementation refused its settings.
    #[error("DTLS cannot be set up: {0}")]
    Dtls(String),
    /// The key is of a kind that TLS can use and DTLS cannot.
    #[error(
        "DTLS (setting `listen_dtls`) needs a certificate with an ECDSA key on P-256 or P-384; the one of `tls_cert` \
         has another kind. Get one (certbot: --key-type ecdsa), or leave `listen_dtls` out"
    )]
    DtlsKey,
}

/// A certificate chain with its private key, ready for TLS and DTLS.
#[derive(Clone)]
pub struct Certificate {
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) dtls: Arc<dimpl::Config>,
    pub(crate) leaf: dimpl::DtlsCertificate,
    /// Whether the key is of a kind that DTLS can use.
    fits_dtls: bool,
}

impl Certificate {
    /// The certificate that the settings name, if they name one.
    ///
    /// # Errors
    /// [`CertificateError`] names the setting.
    pub fn of(config: &Config) -> Result<Option<Self>, CertificateError> {
        let (Some(chain), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
        let certificate = Self::from_files(chain, key)?;
        if !config.listen_dtls.is_empty() && !certificate.fits_dtls {
            return Err(CertificateError::DtlsKey);
        }
        Ok(Some(certificate))
    }

    /// Reads two PEM files: the chain, the server's own certificate first, and the key.
    ///
    /// # Errors
    /// [`CertificateError`] names the setting.
    pub fn from_files(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let wrong = |error: rustls_pki_types::pem::Error| CertificateError::Chain(error.to_string());
        let certificates = CertificateDer::pem_file_iter(chain).map_err(wrong)?;
        let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(wrong)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| CertificateError::Key(e.to_string()))?;
        Self::new(certificates, key)
    }

    /// A chain, the server's own certificate first, and its key. DTLS needs an ECDSA key (P-256 or P-384), which
    /// [`Certificate::of`] checks.
    ///
    /// # Errors
    /// They do not belong together, or there is no certificate.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let leaf = chain.first().ok_or_else(|| CertificateError::Chain("there is none in it".to_owned()))?;
        let fits_dtls = has_dtls_key(leaf);
        let leaf =
            dimpl::DtlsCertificate { certificate: leaf.to_vec(), private_key: key.secret_der().to_vec() };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        // No protocol names (ALPN, RFC 7443) on purpose: with a list, clients that name others would be refused.
        let tls = builder
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| CertificateError::Tls(error.to_string()))?;
        // The cookie proves the client's address before anything larger is sent to it.
        let dtls = dimpl::Config::builder()
            .use_server_cookie(true)
            .require_client_certificate(false)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .build()
            .map_err(|error| CertificateError::Dtls(error.to_string()))?;
        Ok(Self { tls: Arc::new(tls), dtls: Arc::new(dtls), leaf, fits_dtls })
    }
}

/// Whether a certificate is for an ECDSA key on P-256 or P-384.
fn has_dtls_key(certificate: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let algorithm = &certificate.public_key().algorithm;
    let curve = algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
    algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && curve.is_some_and(|curve| curve == OID_EC_P256 || curve == OID_NIST_EC_P384)
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(..)")
    }
}

/// The certificate in use, one for all threads. Read once for each new connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct InUse(Arc<RwLock<Option<Certificate>>>);

impl InUse {
    pub(crate) fn set(&self, certificate: Certificate) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
    }

    pub(crate) fn get(&self) -> Option<Certificate> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_dtls_cannot_use_is_refused_with_dtls_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let (chain, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let any = vec!["127.0.0.1:0".parse().expect("an address")];
        for (kind, fits) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, true),
            (&rcgen::PKCS_ECDSA_P384_SHA384, true),
            (&rcgen::PKCS_ED25519, false),
            (&rcgen::PKCS_RSA_SHA256, false),
        ] {
            let pair = rcgen::KeyPair::generate_for(kind).expect("made");
            let params = rcgen::CertificateParams::new(vec!["localhost".into()]).expect("valid");
            let certificate = params.self_signed(&pair).expect("signed");
            std::fs::write(&chain, certificate.pem()).expect("written");
            std::fs::write(&key, pair.serialize_pem()).expect("written");
            let mut config = Config {
                listen_tls: any.clone(),
                tls_cert: Some(chain.clone()),
                tls_key: Some(key.clone()),
                ..Config::default()
            };
            assert!(Certificate::of(&config).expect("good for TLS").is_some());
            config.listen_dtls.clone_from(&any);
            let refused = matches!(Certificate::of(&config), Err(CertificateError::DtlsKey));
            assert_eq!(refused, !fits, "{kind:?}");
        }
    }
}
