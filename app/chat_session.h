#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/answer_reader.h"
#include "app/interrupts.h"
#include "base/result.h"
#include "conclave/v1/feedback.grpc.pb.h"

namespace conclave::app {

/// A conversation in the terminal: what was said so far, and the last answer, which can be rated.
class ChatSession {
 public:
  struct Options {
    v1::SamplingParams sampling;
    std::string system;
    std::string collection;
    uint32_t top_n = 0;
  };

  ChatSession(std::shared_ptr<grpc::Channel> channel, Options options);

  /// Sends a message and streams the answer to `on_text`; Ctrl-C (through `interrupts`) cancels it, which is
  /// an error CANCELLED. Only a finished answer becomes part of the conversation. Where the conversation no
  /// longer fits the model's context, its oldest turns are left out, and forgotten once there is an answer.
  Result<Answer> Say(const std::string& text, const OnText& on_text, Interrupts& interrupts);

  /// How many turns (a question and its answer) the last Say forgot.
  size_t forgotten_turns() const { return forgotten_turns_; }

  /// Rates the last answer. Errors: FAILED_PRECONDITION (there is none), or what the service says.
  Result<std::string> RateLast(bool good);

  void Reset();

 private:
  struct Turn {
    std::string question;
    std::string answer;
  };

  /// Sends the conversation without its first `left_out` turns.
  Result<Answer> Ask(const std::string& text, size_t left_out, const OnText& on_text, Interrupts& interrupts);

  Options options_;
  std::unique_ptr<v1::RouterService::StubInterface> router_;
  std::unique_ptr<v1::FeedbackService::StubInterface> feedback_;
  std::vector<Turn> turns_;
  size_t forgotten_turns_ = 0;
  std::string last_response_id_;
  std::string last_vote_token_;
  std::string why_unratable_;  ///< while there is no vote token
};

}  // namespace conclave::app
