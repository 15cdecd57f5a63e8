#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "services/decoder/scheduler.h"

namespace conclave::decoder {

/// Keeps what one client stream was told; the test says whether it is ready for more.
class CollectingSink : public EventSink {
 public:
  void Deliver(std::vector<SequenceEvent> events) override { deliveries.push_back(std::move(events)); }
  bool Ready() const override {
    ++asked;
    return ready;
  }
  void Abort(Status error) override { aborted.push_back(std::move(error)); }

  std::vector<int32_t> Tokens(uint64_t id) const {
    std::vector<int32_t> tokens;
    ForEach(id, [&](const SequenceEvent& event) {
      for (const auto& token : event.tokens) tokens.push_back(token.token_id);
    });
    return tokens;
  }
  /// The sequence's last event; nothing while it runs.
  std::optional<SequenceEnd> End(uint64_t id) const {
    std::optional<SequenceEnd> end;
    ForEach(id, [&](const SequenceEvent& event) {
      EXPECT_FALSE(end.has_value()) << "an event came after the end of sequence " << id;
      end = event.end;
    });
    return end;
  }

  std::vector<std::vector<SequenceEvent>> deliveries;
  std::vector<Status> aborted;
  bool ready = true;
  mutable int asked = 0;

 private:
  template <typename Visit>
  void ForEach(uint64_t id, const Visit& visit) const {
    for (const auto& events : deliveries) {
      for (const SequenceEvent& event : events) {
        if (event.sequence_id == id) visit(event);
      }
    }
  }
};

inline SequenceRequest Request(std::shared_ptr<EventSink> sink, uint64_t id, int64_t prompt_tokens,
                               int64_t max_tokens) {
  SequenceRequest request;
  request.sink = std::move(sink);
  request.id = id;
  for (int64_t i = 0; i < prompt_tokens; ++i) request.prompt.push_back(static_cast<int32_t>(i % 8));
  request.max_tokens = max_tokens;
  return request;
}

/// A scheduler over a cache of a few blocks; the test takes the engine's part.
class SchedulerTest : public ::testing::Test {
 protected:
  static constexpr int64_t kVocabulary = 8;
  static constexpr int64_t kContext = 512;

  SchedulerTest() { Restart({}, 16); }

  void Restart(const DecoderLimits& limits, int64_t blocks) {
    scheduler_.reset();
    const engine::KvLayout layout{.layers = 1, .kv_heads = 1, .head_dim = 16};
    auto pool = engine::KvPool::Create(layout, blocks * layout.block_bytes());
    ASSERT_TRUE(pool.ok());
    pool_ = *std::move(pool);
    scheduler_ = std::make_unique<Scheduler>(limits, *pool_, kVocabulary, kContext);
  }

  Status Admit(uint64_t id, int64_t prompt_tokens, int64_t max_tokens) {
    return scheduler_->Admit(Request(sink_, id, prompt_tokens, max_tokens));
  }

  /// One step in which every sampled sequence gets `token`; returns how many tokens each of its parts has.
  std::vector<int64_t> Step(int32_t token = 1) {
    std::vector<int64_t> sizes;
    for (const engine::SequenceStep& part : scheduler_->Plan(now_)) {
      sizes.push_back(static_cast<int64_t>(part.tokens.size()));
      const int64_t length = part.cache->length() + sizes.back();
      EXPECT_LE(length, part.cache->capacity());
      part.cache->Advance(sizes.back());
    }
    now_ += std::chrono::milliseconds(10);
    std::vector<SampledTokens> sampled;
    for (size_t i = 0; i < scheduler_->sampled_sequences().size(); ++i) {
      sampled.push_back({.tokens = {{.token_id = token}}, .error = {}});
    }
    scheduler_->Complete(std::move(sampled), now_);
    return sizes;
  }

  std::shared_ptr<CollectingSink> sink_ = std::make_shared<CollectingSink>();
  std::unique_ptr<engine::KvPool> pool_;
  std::unique_ptr<Scheduler> scheduler_;
  Clock::time_point now_{};
};

}  // namespace conclave::decoder
