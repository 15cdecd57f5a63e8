#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace conclave::retriever {

/// A bound on what many hold together: bytes, streams, waiting calls. Any thread may call.
class Budget {
 public:
  explicit Budget(size_t limit) : limit_(limit) {}

  /// False, and nothing taken, when `amount` more does not fit.
  bool Take(size_t amount) {
    size_t used = used_;
    do {
      if (amount > limit_ - used) return false;
    } while (!used_.compare_exchange_weak(used, used + amount));
    return true;
  }
  void Return(size_t amount) { used_ -= amount; }
  size_t used() const { return used_; }

 private:
  const size_t limit_;
  std::atomic<size_t> used_ = 0;
};

/// A part of a budget, returned when this goes. Movable; not thread-safe.
class Charge {
 public:
  Charge() = default;
  explicit Charge(std::shared_ptr<Budget> budget) : budget_(std::move(budget)) {}
  Charge(Charge&& other) noexcept
      : budget_(std::move(other.budget_)), amount_(std::exchange(other.amount_, 0)) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(amount_, other.amount_);
    return *this;
  }
  ~Charge() { Clear(); }

  bool Grow(size_t amount) {
    if (!budget_->Take(amount)) return false;
    amount_ += amount;
    return true;
  }
  void Clear() {
    if (amount_ > 0) budget_->Return(std::exchange(amount_, 0));
  }

 private:
  std::shared_ptr<Budget> budget_;
  size_t amount_ = 0;
};

/// One place of the budget; nothing when it is used up.
inline std::optional<Charge> TakePlace(const std::shared_ptr<Budget>& budget) {
  Charge charge(budget);
  if (!charge.Grow(1)) return std::nullopt;
  return charge;
}

}  // namespace conclave::retriever
