#include <random>
#include <set>

#include "tests/unit/decoder/scheduler_fixture.h"

namespace conclave::decoder {
namespace {

constexpr int32_t kEndToken = 7;

/// Searches whose rows the test makes up; keys and values are the tokens themselves.
class BeamsTest : public SchedulerTest {
 protected:
  SequenceRequest Search(int64_t beams, int64_t answers, int64_t prompt_tokens, int64_t max_tokens) {
    SequenceRequest request = Request(sink_, 1, prompt_tokens, max_tokens);
    for (int64_t i = 1; i < answers; ++i) request.further.push_back({.id = 1 + static_cast<uint64_t>(i)});
    request.beams.beams = beams;
    request.end_tokens = {kEndToken};
    return request;
  }

  std::byte* Place(const engine::KvSequence& cache, int64_t position) {
    return pool_->Block(cache.blocks()[position / engine::kKvBlockTokens]) +
           position % engine::kKvBlockTokens;
  }

  engine::BeamRow RandomRow() {
    engine::BeamRow row;
    double score = 0.0;
    for (int32_t token = 0; token < kVocabulary; ++token) {
      score -= static_cast<double>(1 + random_() % 100) / 100.0;
      row.candidates.push_back({.token_id = static_cast<int32_t>((token + turn_) % kVocabulary),
                                .logprob = static_cast<float>(score),
                                .score = score});
    }
    ++turn_;
    return row;
  }

  SampledTokens Made(const Sequence& sequence) {
    if (sequence.beams == nullptr) return {.tokens = {{.token_id = 1}}, .error = {}, .beam_row = {}};
    return {.tokens = {}, .error = {}, .beam_row = RandomRow()};
  }

  /// Computes a step, and checks that every sequence reads what was said in it and writes where nobody reads.
  std::vector<int64_t> StepBeams() {
    std::vector<int64_t> sizes;
    std::set<int32_t> written;
    for (const engine::SequenceStep& part : scheduler_->Plan(now_)) {
      const int64_t before = part.cache->length();
      sizes.push_back(static_cast<int64_t>(part.tokens.size()));
      EXPECT_LE(before + sizes.back(), part.cache->capacity());
      for (int64_t i = 0; i < sizes.back(); ++i) {
        const int32_t block = part.cache->blocks()[(before + i) / engine::kKvBlockTokens];
        EXPECT_EQ(pool_->references(block), 1);
        *Place(*part.cache, before + i) = static_cast<std::byte>(part.tokens[i]);
      }
      EXPECT_TRUE(written.insert(part.cache->blocks()[before / engine::kKvBlockTokens]).second);
      part.cache->Advance(sizes.back());
    }
    std::vector<SampledTokens> made;
    for (const Sequence* sequence : scheduler_->sampled_sequences()) {
      ExpectReadsItself(*sequence);
      made.push_back(Made(*sequence));
    }
    scheduler_->Complete(std::move(made), now_);
    return sizes;
  }

  void ExpectReadsItself(const Sequence& sequence) {
    std::vector<int32_t> tokens = sequence.request.prompt;
    tokens.insert(tokens.end(), sequence.answer.begin(), sequence.answer.end());
    ASSERT_EQ(sequence.cache.length(), static_cast<int64_t>(tokens.size()));
    for (size_t i = 0; i < tokens.size(); ++i) {
      ASSERT_EQ(*Place(sequence.cache, static_cast<int64_t>(i)), static_cast<std::byte>(tokens[i])) << i;
    }
  }

  int64_t used() const { return pool_->total_blocks() - pool_->free_blocks(); }

  void ExpectEmpty() const {
    EXPECT_FALSE(scheduler_->HasWork());
    EXPECT_EQ(pool_->free_blocks(), pool_->total_blocks());
    EXPECT_EQ(scheduler_->Snapshot().running, 0);
    EXPECT_EQ(scheduler_->Snapshot().queued_tokens, 0);
  }

  std::mt19937 random_{11};
  int32_t turn_ = 0;
};

TEST_F(BeamsTest, ReadWhatTheyComeFromAndNeverTakeABlock) {
  for (const int64_t prompt : {1, 31, 32, 33, 70}) {
    for (const int64_t beams : {1, 2, 5, 16}) {
      Restart({.step_tokens = 48}, 100);
      sink_ = std::make_shared<CollectingSink>();
      SequenceRequest request = Search(beams, 1, prompt, 80);
      request.ignore_end = true;
      const int64_t bound = BlocksFor(request);
      ASSERT_TRUE(scheduler_->Admit(std::move(request)).ok());
      int64_t most = bound;
      while (scheduler_->HasWork()) {
        StepBeams();
        EXPECT_LE(used(), most);
        if (scheduler_->Snapshot().totals.cached_prompt_tokens > 0) most = used();
      }
      EXPECT_EQ(sink_->Tokens(1).size(), 80u);
      EXPECT_EQ(sink_->End(1)->reason, FinishReason::kLength);
      EXPECT_EQ(scheduler_->Snapshot().totals.prompt_tokens, prompt);
      ExpectEmpty();
    }
  }
}

TEST_F(BeamsTest, FillTheCacheToTheLastBlockBesideOthers) {
  SequenceRequest request = Search(4, 2, 40, 60);
  Restart({}, BlocksFor(request) + 1);
  ASSERT_TRUE(scheduler_->Admit(Request(sink_, 9, 10, 20)).ok());
  ASSERT_TRUE(scheduler_->Admit(std::move(request)).ok());
  EXPECT_EQ(StepBeams(), (std::vector<int64_t>{10, 40}));
  EXPECT_EQ(pool_->free_blocks(), 0);
  EXPECT_EQ(StepBeams(), (std::vector<int64_t>{1, 1, 1, 1, 1}));
  ASSERT_TRUE(Admit(10, 30, 30).ok());
  while (scheduler_->HasWork()) StepBeams();
  EXPECT_EQ(sink_->Tokens(9).size(), 20u);
  EXPECT_EQ(sink_->Tokens(10).size(), 30u);
  EXPECT_GE(*sink_->End(1)->beam_score, *sink_->End(2)->beam_score);
  ExpectEmpty();
}

TEST_F(BeamsTest, TellNothingUntilTheyAreDoneAndThenTheBestFirst) {
  ASSERT_TRUE(scheduler_->Admit(Search(3, 3, 5, 10)).ok());
  while (sink_->deliveries.empty()) {
    EXPECT_EQ(scheduler_->Snapshot().totals.completion_tokens, 0);
    StepBeams();
  }
  EXPECT_EQ(sink_->deliveries.size(), 3u);
  double before = 0.0;
  for (uint64_t id = 1; id <= 3; ++id) {
    const SequenceEnd end = *sink_->End(id);
    EXPECT_LE(*end.beam_score, before);
    before = *end.beam_score;
    const auto tokens = sink_->Tokens(id);
    EXPECT_EQ(end.completion_tokens, static_cast<int64_t>(tokens.size()));
    EXPECT_EQ(end.reason == FinishReason::kStop, tokens.back() == kEndToken);
    EXPECT_EQ(end.cached_prompt_tokens, id == 1 ? 0 : 5);
  }
  ExpectEmpty();
}

TEST_F(BeamsTest, AreCancelledWhereverTheyAre) {
  for (const int steps : {0, 1, 2, 5}) {
    Restart({.step_tokens = 32}, 60);
    sink_ = std::make_shared<CollectingSink>();
    SequenceRequest request = Search(4, 2, 40, 200);
    request.ignore_end = true;
    ASSERT_TRUE(scheduler_->Admit(std::move(request)).ok());
    for (int i = 0; i < steps; ++i) StepBeams();
    scheduler_->Cancel(sink_.get(), 1);
    EXPECT_EQ(sink_->End(1)->reason, FinishReason::kCancelled);
    StepBeams();
    EXPECT_TRUE(scheduler_->HasWork()) << "the second is still wanted";
    scheduler_->Cancel(sink_.get(), 2);
    EXPECT_EQ(sink_->End(2)->reason, FinishReason::kCancelled);
    ExpectEmpty();
  }
}

TEST_F(BeamsTest, LeaveWithTheirStream) {
  ASSERT_TRUE(scheduler_->Admit(Search(4, 2, 40, 20)).ok());
  for (int i = 0; i < 4; ++i) StepBeams();
  scheduler_->CancelAll(sink_.get());
  ExpectEmpty();
}

TEST_F(BeamsTest, WaitTogetherForAStreamThatIsNotReady) {
  SequenceRequest request = Search(3, 1, 10, 20);
  request.ignore_end = true;
  ASSERT_TRUE(scheduler_->Admit(std::move(request)).ok());
  for (int i = 0; i < 3; ++i) StepBeams();
  sink_->ready = false;
  EXPECT_TRUE(scheduler_->Plan(now_).empty());
  EXPECT_EQ(scheduler_->Snapshot().paused, 3);
  sink_->ready = true;
  EXPECT_EQ(StepBeams().size(), 3u);
}

TEST_F(BeamsTest, AFailedStepOrRowFailsEveryAnswerOnce) {
  for (const bool step : {true, false}) {
    Restart({}, 16);
    sink_ = std::make_shared<CollectingSink>();
    ASSERT_TRUE(scheduler_->Admit(Search(3, 2, 10, 20)).ok());
    StepBeams();
    (void)scheduler_->Plan(now_);
    if (step) {
      scheduler_->Fail(Unavailable("a shard is gone"));
    } else {
      std::vector<SampledTokens> made(3);
      made[0].beam_row = RandomRow();
      made[1].error = Internal("broken");
      made[2].error = Internal("broken");
      scheduler_->Complete(std::move(made), now_);
    }
    const StatusCode code = step ? StatusCode::kUnavailable : StatusCode::kInternal;
    for (const uint64_t id : {1, 2}) EXPECT_EQ(sink_->End(id)->error.code(), code);
    ExpectEmpty();
  }
}

TEST_F(BeamsTest, AnswersThatAreNotThereFail) {
  ASSERT_TRUE(scheduler_->Admit(Search(3, 2, 10, 1)).ok());
  for (const engine::SequenceStep& part : scheduler_->Plan(now_)) part.cache->Advance(10);
  std::vector<SampledTokens> made(1);
  made[0].beam_row.candidates = {{.token_id = 4, .logprob = -1.0f, .score = -1.0}};
  scheduler_->Complete(std::move(made), now_);
  EXPECT_EQ(sink_->Tokens(1), std::vector<int32_t>{4});
  EXPECT_EQ(sink_->End(2)->error.code(), StatusCode::kOutOfRange);
  ExpectEmpty();
}

TEST_F(BeamsTest, AreRefusedWhenTheyNeverRun) {
  EXPECT_EQ(scheduler_->Admit(Search(engine::kMostBeams + 1, 1, 3, 3)).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(scheduler_->Admit(Search(2, 3, 3, 3)).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(scheduler_->Admit(Search(16, 1, 40, 200)).code(), StatusCode::kOutOfRange);
  Restart({.running_sequences = 3}, 16);
  EXPECT_EQ(scheduler_->Admit(Search(4, 1, 3, 3)).code(), StatusCode::kOutOfRange);
  EXPECT_TRUE(scheduler_->Admit(Search(3, 2, 3, 3)).ok());
  EXPECT_EQ(scheduler_->Snapshot().queued, 3);
  StepBeams();
  EXPECT_EQ(scheduler_->Admit(Request(sink_, 2, 3, 3)).code(), StatusCode::kAlreadyExists);
}

TEST_F(BeamsTest, BeginWithACachedPrompt) {
  Restart({.prefix_cache_bytes = 1 << 20}, 64);
  for (const uint64_t round : {0, 1}) {
    sink_ = std::make_shared<CollectingSink>();
    ASSERT_TRUE(scheduler_->Admit(Search(3, 1, 70, 20)).ok());
    while (scheduler_->HasWork()) StepBeams();
    EXPECT_EQ(sink_->End(1)->cached_prompt_tokens, round == 0 ? 0 : 64);
  }
}

}  // namespace
}  // namespace conclave::decoder
