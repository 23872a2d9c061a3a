//! An authority, and certificates of it in files.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::Secret;

/// Files `ca.crt`, `tls.crt` and `tls.key` of a server, `client.crt` and `client.key` of a client.
pub(crate) fn make(names: &[&str]) -> Secret {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "authority of a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let secret = Secret::new(&[("ca.crt", &authority.pem())]);
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (name, names, usage) in [
        ("tls", names, ExtendedKeyUsagePurpose::ServerAuth),
        ("client", vec!["app".to_owned()], ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &issuer).unwrap();
        secret.write(&format!("{name}.crt"), &certificate.pem());
        secret.write(&format!("{name}.key"), &key.serialize_pem());
    }
    secret
}
