#include <filesystem>

#include "tests/support/temporary_folder.h"
#include "tests/unit/decoder/scheduler_fixture.h"

namespace conclave::decoder {
namespace {

using Sizes = std::vector<int64_t>;

/// Schedulers that end and begin again with the same folder.
class PrefixDiskTest : public SchedulerTest {
 protected:
  PrefixDiskTest() { Begin(); }

  /// A new decoder; `blocks` is what its prefix cache holds in memory.
  void Begin(int64_t blocks = 8, int64_t layers = 1, int64_t disk_bytes = 1 << 20) {
    scheduler_.reset();
    disk_.reset();
    auto store = KvDiskStore::Open(path_, {.bytes = disk_bytes, .entries = 100});
    ASSERT_TRUE(store.ok()) << store.status().message();
    disk_ = *KvDiskTier::Start(*std::move(store));
    const engine::KvLayout layout{.layers = layers, .kv_heads = 1, .head_dim = 16};
    pool_ = *engine::KvPool::Create(layout, 16 * layout.block_bytes());
    scheduler_ =
        std::make_unique<Scheduler>(DecoderLimits{.prefix_cache_bytes = blocks * layout.block_bytes()},
                                    *pool_, kVocabulary, kContext, "model", disk_);
  }

  /// Serves one sequence, whose computed blocks hold their position; how much of its prompt was computed.
  SequenceEnd Serve(const std::string& tenant, int64_t prompt_tokens, int32_t shift = 0) {
    SequenceRequest request = Request(sink_, ++last_id_, prompt_tokens, 1);
    request.tenant = tenant;
    for (int32_t& token : request.prompt) token = (token + shift) % 8;
    EXPECT_TRUE(scheduler_->Admit(std::move(request)).ok());
    while (scheduler_->HasWork()) {
      disk_->WaitIdle();
      (void)Step();
    }
    return *sink_->End(last_id_);
  }

  /// After a restart, a sequence whose prompt the disk continues.
  void AdmitOneThatLoads(uint64_t id) {
    Serve("a", 100);
    scheduler_->Save();
    Begin();
    SequenceRequest loading = Request(sink_, id, 100, 1);
    loading.tenant = "a";
    ASSERT_TRUE(scheduler_->Admit(std::move(loading)).ok());
  }

  testing::TemporaryFolder folder_;
  std::filesystem::path path_ = std::filesystem::path(folder_.path()) / "prefixes";
  std::shared_ptr<KvDiskTier> disk_;
  uint64_t last_id_ = 0;
};

TEST_F(PrefixDiskTest, WhatWasSavedContinuesAfterARestart) {
  EXPECT_EQ(Serve("a", 100).cached_prompt_tokens, 0);
  scheduler_->Save();
  Begin();
  EXPECT_EQ(Serve("a", 100).cached_prompt_tokens, 96);
  const SchedulerStatus status = scheduler_->Snapshot();
  EXPECT_EQ(status.disk.hits, 1);
  EXPECT_EQ(status.disk.bytes_used, 3 * (pool_->layout().block_bytes() + 32));
  EXPECT_EQ(status.totals.cached_prompt_tokens, 96);
  EXPECT_EQ(Serve("a", 100).cached_prompt_tokens, 96);
  EXPECT_EQ(scheduler_->Snapshot().disk.hits, 1) << "the second time it was in memory";
}

TEST_F(PrefixDiskTest, BytesComeBackAsTheyWere) {
  std::vector<std::byte> written;
  ASSERT_TRUE(scheduler_->Admit(Request(sink_, 50, 40, 1)).ok());
  const auto plan = scheduler_->Plan(now_);
  std::byte* block = pool_->Block(plan[0].cache->blocks()[0]);
  for (int64_t i = 0; i < pool_->layout().block_bytes(); ++i) {
    block[i] = static_cast<std::byte>(i * 7 + i / 256);
    written.push_back(block[i]);
  }
  plan[0].cache->Advance(40);
  scheduler_->Complete({{.tokens = {{.token_id = 1}}, .error = {}}}, now_);
  scheduler_->Save();
  Begin();
  ASSERT_TRUE(scheduler_->Admit(Request(sink_, 51, 40, 1)).ok());
  (void)scheduler_->Plan(now_);
  disk_->WaitIdle();
  const auto rest = scheduler_->Plan(now_);
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].tokens.size(), 8u);
  const std::byte* read = pool_->Block(rest[0].cache->blocks()[0]);
  EXPECT_EQ(std::vector<std::byte>(read, read + written.size()), written);
}

TEST_F(PrefixDiskTest, EvictedBlocksComeBackWithoutARestart) {
  Begin(/*blocks=*/3);
  Serve("a", 100);
  Serve("a", 100, 1);  // Takes the place of the first in memory.
  disk_->WaitIdle();
  EXPECT_GT(scheduler_->Snapshot().prefixes.evictions, 0);
  EXPECT_EQ(Serve("a", 100).cached_prompt_tokens, 96);
}

TEST_F(PrefixDiskTest, AnotherTenantMisses) {
  Serve("a", 100);
  scheduler_->Save();
  Begin();
  EXPECT_EQ(Serve("b", 100).cached_prompt_tokens, 0);
  EXPECT_EQ(scheduler_->Snapshot().disk.misses, 1);
  EXPECT_EQ(scheduler_->Snapshot().disk.hits, 0);
}

TEST_F(PrefixDiskTest, AnotherLayoutMisses) {
  Serve("a", 100);
  scheduler_->Save();
  Begin(8, /*layers=*/2);
  EXPECT_EQ(Serve("a", 100).cached_prompt_tokens, 0);
}

TEST_F(PrefixDiskTest, ATextsLastBlocksGoFirst) {
  Serve("a", 100);
  scheduler_->Save();
  const int64_t entry = pool_->layout().block_bytes() + 32;
  Begin(8, 1, 2 * entry);
  EXPECT_EQ(Serve("a", 100).cached_prompt_tokens, 64);
  Begin(8, 1, entry);
  EXPECT_EQ(Serve("a", 100).cached_prompt_tokens, 32);
}

TEST_F(PrefixDiskTest, OthersRunWhileOneWaitsForTheDisk) {
  AdmitOneThatLoads(60);
  ASSERT_TRUE(Admit(61, 10, 1).ok());
  EXPECT_EQ(Step(), Sizes{10});
  disk_->WaitIdle();
  EXPECT_EQ(Step(), Sizes{4});
}

TEST_F(PrefixDiskTest, CancelledWhileItWaitsGivesItsBlocksBack) {
  AdmitOneThatLoads(60);
  (void)scheduler_->Plan(now_);
  scheduler_->Cancel(sink_.get(), 60);
  EXPECT_EQ(sink_->End(60)->reason, FinishReason::kCancelled);
  EXPECT_EQ(pool_->used_bytes(), 0);
  disk_->WaitIdle();
  EXPECT_EQ(Serve("a", 100).cached_prompt_tokens, 96);
}

/// A store whose disk is full, or gives errors; counts how often it was asked.
class FailingStore final : public KvDiskStore {
 public:
  explicit FailingStore(const std::filesystem::path& path)
      : KvDiskStore(*platform::DurableStore::Open(path), {.bytes = 1 << 20, .entries = 100}) {}
  Status Put(const std::string& key, std::span<const std::byte> value) override {
    ++writes;
    return full ? ResourceExhausted("the disk is full") : KvDiskStore::Put(key, value);
  }
  Result<bool> Get(const std::string&, std::span<std::byte>) override {
    ++reads;
    return Unavailable("input or output error");
  }

  bool full = true;
  int writes = 0;
  int reads = 0;
};

TEST_F(PrefixDiskTest, AFullDiskFailsNoRequestAndIsLeftAlone) {
  scheduler_.reset();
  disk_.reset();
  auto store = std::make_unique<FailingStore>(path_);
  const FailingStore* asked = store.get();
  disk_ = *KvDiskTier::Start(std::move(store));
  scheduler_ =
      std::make_unique<Scheduler>(DecoderLimits{.prefix_cache_bytes = 3 * pool_->layout().block_bytes()},
                                  *pool_, kVocabulary, kContext, "model", disk_);
  for (int32_t shift = 0; shift < 4; ++shift) EXPECT_EQ(Serve("a", 100, shift).completion_tokens, 1);
  scheduler_->Save();
  EXPECT_EQ(asked->writes, 1);
  EXPECT_EQ(scheduler_->Snapshot().disk.errors, 1);
}

TEST_F(PrefixDiskTest, AReadThatFailsIsComputed) {
  scheduler_.reset();
  disk_.reset();
  auto store = std::make_unique<FailingStore>(path_);
  FailingStore* asked = store.get();
  asked->full = false;
  disk_ = *KvDiskTier::Start(std::move(store));
  scheduler_ =
      std::make_unique<Scheduler>(DecoderLimits{.prefix_cache_bytes = 3 * pool_->layout().block_bytes()},
                                  *pool_, kVocabulary, kContext, "model", disk_);
  Serve("a", 100);
  Serve("a", 100, 1);
  disk_->WaitIdle();
  EXPECT_EQ(Serve("a", 100).cached_prompt_tokens, 0);
  EXPECT_EQ(asked->reads, 1);
  EXPECT_EQ(scheduler_->Snapshot().disk.errors, 1);
}

}  // namespace
}  // namespace conclave::decoder
