#pragma once

#include <memory>

#include <gtest/gtest.h>

#include "services/decoder/scheduler_actor.h"
#include "tests/support/stepped_actors.h"
#include "tests/unit/decoder/scheduler_fixture.h"
#include "tests/unit/decoder/small_decoder.h"

namespace conclave::decoder {

/// The actor with a real engine behind it, one message at a time.
class SchedulerActorTest : public ::testing::Test {
 protected:
  SchedulerActorTest() { Restart({}); }
  ~SchedulerActorTest() override { End(); }

  void Restart(const DecoderLimits& limits) {
    End();
    decoder_ = std::make_unique<SmallDecoder>(limits);
    actor_ = actors_.system().spawn<SchedulerActor>(decoder_->scheduler, decoder_->runner);
    actors_.Run();
  }

  void End() {
    if (!actor_) return;
    caf::anon_send_exit(actor_, caf::exit_reason::user_shutdown);
    actors_.Run();
    actor_ = nullptr;
  }

  /// Puts an admission into the mailbox.
  void Admit(const std::shared_ptr<CollectingSink>& sink, uint64_t id, int64_t prompt, int64_t max_tokens) {
    auto request = std::make_shared<SequenceRequest>(Request(sink, id, prompt, max_tokens));
    request->sampling.temperature = 0.0;
    caf::anon_send(actor_, AdmitMessage{std::move(request)});
  }

  /// Handles messages until the sequence has `count` tokens; whether it got there.
  bool RunUntilTokens(uint64_t id, size_t count) {
    while (sink_->Tokens(id).size() < count) {
      if (!actors_.RunOne()) return false;
    }
    return true;
  }

  SchedulerStatus Snapshot() {
    SchedulerStatus seen;
    caf::anon_send(actor_, SnapshotMessage{[&](const SchedulerStatus& status) { seen = status; }});
    actors_.Run();
    return seen;
  }

  conclave::testing::SteppedActors actors_;
  std::unique_ptr<SmallDecoder> decoder_;
  caf::actor actor_;
  std::shared_ptr<CollectingSink> sink_ = std::make_shared<CollectingSink>();
};

}  // namespace conclave::decoder
