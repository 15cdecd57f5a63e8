#pragma once

#include <cassert>
#include <utility>
#include <variant>

#include "base/status.h"

namespace conclave {

/// A value, or the Status that says why there is none. Every error that a user can cause travels as one
/// of these: no exception and no abort crosses a service boundary.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}  // NOLINT: implicit, so that `return value;` works
  Result(Status status) : state_(std::move(status)) { assert(!std::get<Status>(state_).ok()); }  // NOLINT

  bool ok() const { return std::holds_alternative<T>(state_); }
  explicit operator bool() const { return ok(); }

  /// The value; only when ok().
  T& value() & { return std::get<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  /// The status; Ok when there is a value.
  Status status() const { return ok() ? Status::Ok() : std::get<Status>(state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace conclave

#define CONCLAVE_CONCAT_INNER(a, b) a##b
#define CONCLAVE_CONCAT(a, b) CONCLAVE_CONCAT_INNER(a, b)

/// Returns from the enclosing function when `expression` (a Status) is not Ok.
#define CONCLAVE_RETURN_IF_ERROR(expression)                 \
  do {                                                       \
    ::conclave::Status conclave_status_ = (expression);      \
    if (!conclave_status_.ok()) return conclave_status_;     \
  } while (false)

/// `CONCLAVE_ASSIGN_OR_RETURN(auto x, F());` declares x from a Result or returns its Status.
#define CONCLAVE_ASSIGN_OR_RETURN(declaration, expression) \
  CONCLAVE_ASSIGN_OR_RETURN_IMPL(CONCLAVE_CONCAT(conclave_result_, __LINE__), declaration, expression)
#define CONCLAVE_ASSIGN_OR_RETURN_IMPL(result, declaration, expression) \
  auto result = (expression);                                           \
  if (!result.ok()) return result.status();                             \
  declaration = std::move(result).value()
