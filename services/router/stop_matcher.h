#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace conclave::router {

/// Finds the first of some stop texts in a text that arrives in parts, and holds back what could still become
/// one. The first is the one that is complete first (of two that end together, the longer), so that the
/// result does not depend on how the text was cut.
class StopMatcher {
 public:
  /// `stops`: none empty.
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  /// Takes the next part; returns the text that is certain not to belong to a stop text. After a match
  /// everything is dropped.
  std::string Push(std::string_view part);

  /// What is still held back, when no more text comes.
  std::string Flush();

  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace conclave::router
