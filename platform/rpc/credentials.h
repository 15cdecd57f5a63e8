#pragma once

#include <memory>

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include "base/result.h"
#include "platform/config/address.h"
#include "platform/config/config.h"

namespace conclave::platform {

/// What a server asks of clients at this address: nothing on Unix sockets; TLS on TCP when `tls` has a
/// certificate. Errors: FAILED_PRECONDITION (beyond loopback without TLS, unless `insecure`; a TLS file that
/// cannot be read or is not PEM).
Result<std::shared_ptr<grpc::ServerCredentials>> ServerCredentialsFor(const Address& address,
                                                                      const TlsConfig& tls, bool insecure);

/// What a client shows and asks for at this address: TLS on TCP when `tls` has a certificate or an authority.
/// Errors: FAILED_PRECONDITION, for a TLS file.
Result<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFor(const Address& address,
                                                                        const TlsConfig& tls);

}  // namespace conclave::platform
