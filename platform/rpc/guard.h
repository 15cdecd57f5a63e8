#pragma once

#include <exception>
#include <functional>
#include <utility>

#include "base/status.h"

namespace conclave::platform::detail {

/// Logs the exception that is being handled; returns the INTERNAL status that callers get to see.
Status HandlerThrew();

/// Runs code that is not ours to trust: what it throws becomes INTERNAL.
template <typename Function>
Status RunGuarded(Function&& function) {
  try {
    std::forward<Function>(function)();
    return Status::Ok();
  } catch (...) {
    return HandlerThrew();
  }
}

/// The same for a callback that may be empty and whose failure nobody can be told of; it is logged.
inline void RunCallback(const std::function<void()>& callback) {
  if (callback) (void)RunGuarded(callback);
}

}  // namespace conclave::platform::detail
