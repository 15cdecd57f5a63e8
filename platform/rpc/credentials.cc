#include "platform/rpc/credentials.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

namespace conclave::platform {
namespace {

constexpr size_t kMaxPemBytes = 1u << 20;

Result<std::string> ReadPem(const std::string& path, const char* key) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return FailedPrecondition(std::string(key) + ": cannot read " + path + ": " + std::strerror(errno));
  std::string text(kMaxPemBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxPemBytes || text.find("-----BEGIN ") == std::string::npos) {
    return FailedPrecondition(std::string(key) + ": " + path + " is not a PEM file");
  }
  return text;
}

struct PemTexts {
  std::string certificate;
  std::string key;
  std::string client_ca;
};

Result<PemTexts> ReadPems(const TlsConfig& tls) {
  PemTexts texts;
  CONCLAVE_ASSIGN_OR_RETURN(texts.certificate, ReadPem(tls.certificate, "tls.certificate"));
  CONCLAVE_ASSIGN_OR_RETURN(texts.key, ReadPem(tls.key, "tls.key"));
  CONCLAVE_ASSIGN_OR_RETURN(texts.client_ca, ReadPem(tls.client_ca, "tls.client_ca"));
  return texts;
}

}  // namespace

Result<std::shared_ptr<grpc::ServerCredentials>> ServerCredentialsFor(const Address& address,
                                                                      const TlsConfig& tls, bool insecure) {
  if (address.kind != Address::Kind::kTcp) return grpc::InsecureServerCredentials();
  if (!tls.enabled()) {
    if (IsLoopbackHost(address.name) || insecure) return grpc::InsecureServerCredentials();
    return FailedPrecondition(
        "refusing to listen on " + address.ToString() +
        " without TLS: other machines could read and forge everything; set tls.certificate and "
        "tls.key, or insecure: true to do it nevertheless");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const PemTexts texts, ReadPems(tls));
  grpc::SslServerCredentialsOptions options(texts.client_ca.empty()
                                                ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                                : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = texts.client_ca;
  options.pem_key_cert_pairs.push_back({texts.key, texts.certificate});
  return grpc::SslServerCredentials(options);
}

Result<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFor(const Address& address,
                                                                        const TlsConfig& tls) {
  if (address.kind != Address::Kind::kTcp || (!tls.enabled() && tls.client_ca.empty())) {
    return grpc::InsecureChannelCredentials();
  }
  CONCLAVE_ASSIGN_OR_RETURN(const PemTexts texts, ReadPems(tls));
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = texts.client_ca;
  options.pem_private_key = texts.key;
  options.pem_cert_chain = texts.certificate;
  return grpc::SslCredentials(options);
}

}  // namespace conclave::platform
