#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "platform/config/config.h"

namespace conclave::platform::test {

/// A key and a certificate for localhost that signs itself, as PEM files: fit for a server, a client and an
/// authority.
class CertificateFiles {
 public:
  explicit CertificateFiles(const std::filesystem::path& folder)
      : certificate_(folder / "certificate.pem"), key_(folder / "key.pem") {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
    X509* x509 = certificate.get();
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 24 * 3600);
    X509_set_pubkey(x509, key.get());
    X509_NAME* name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"),
                               -1, -1, 0);
    X509_set_issuer_name(x509, name);
    AddExtension(x509, NID_subject_alt_name, "DNS:localhost");
    AddExtension(x509, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(x509, key.get(), EVP_sha256());
    Write(certificate_, [&](std::FILE* file) { PEM_write_X509(file, x509); });
    Write(key_, [&](std::FILE* file) {
      PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }

  /// Clients must show the certificate too.
  TlsConfig Tls() const { return {certificate_.string(), key_.string(), certificate_.string()}; }

 private:
  static void AddExtension(X509* certificate, int kind, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  template <typename Writer>
  static void Write(const std::filesystem::path& path, Writer write) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    write(file);
    std::fclose(file);
  }

  std::filesystem::path certificate_;
  std::filesystem::path key_;
};

}  // namespace conclave::platform::test
