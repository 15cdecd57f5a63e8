#pragma once

#include "base/result.h"
#include "platform/config/address.h"

namespace conclave::platform {

/// Makes sure that this address can be listened on: for a Unix socket, its folder is made (for this user
/// only), a live server there is FAILED_PRECONDITION, and a dead one's file is removed.
Status PrepareToListen(const Address& address);

/// Why listening on the address fails: FAILED_PRECONDITION naming the address and the operating system's
/// reason. Ok when the operating system would allow it.
Status WhyNotListen(const Address& address);

}  // namespace conclave::platform
