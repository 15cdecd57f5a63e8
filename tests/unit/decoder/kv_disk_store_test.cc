#include "services/decoder/kv_disk_store.h"

#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace conclave::decoder {
namespace {

constexpr int64_t kValueBytes = 8192;
constexpr int64_t kEntryBytes = kValueBytes + 32;  // with its digest

class KvDiskStoreTest : public ::testing::Test {
 protected:
  static std::vector<std::byte> Value(int number) {
    return std::vector<std::byte>(kValueBytes, static_cast<std::byte>(number));
  }
  static std::string Key(int number) { return std::string(32, static_cast<char>(number)); }

  void Open(const KvDiskBudget& budget = {.bytes = 1 << 20, .entries = 100}) {
    store_.reset();
    auto opened = KvDiskStore::Open(path_, budget);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    store_ = *std::move(opened);
  }
  void Put(int number) { ASSERT_TRUE(store_->Put(Key(number), Value(number)).ok()); }
  /// Whether the entry is there, with its value.
  bool Has(int number) {
    std::vector<std::byte> read(kValueBytes);
    const auto found = store_->Get(Key(number), read);
    EXPECT_TRUE(found.ok());
    if (!found.ok() || !*found) return false;
    EXPECT_EQ(read, Value(number));
    return true;
  }
  /// Writes into the files behind the store's back.
  template <typename Change>
  void Damage(const Change& change) {
    store_.reset();
    auto raw = platform::DurableStore::Open(path_);
    ASSERT_TRUE(raw.ok());
    change(**raw);
  }

  testing::TemporaryFolder folder_;
  std::filesystem::path path_ = std::filesystem::path(folder_.path()) / "store";
  std::unique_ptr<KvDiskStore> store_;
};

TEST_F(KvDiskStoreTest, ValuesComeBackAlsoAfterARestart) {
  Open();
  Put(1);
  Put(2);
  Put(2);
  EXPECT_TRUE(Has(1));
  EXPECT_FALSE(Has(3));
  EXPECT_EQ(store_->bytes(), 2 * kEntryBytes);
  Open();
  EXPECT_EQ(store_->bytes(), 2 * kEntryBytes);
  EXPECT_TRUE(store_->Contains(Key(2)));
  EXPECT_TRUE(Has(1));
  EXPECT_TRUE(Has(2));
  EXPECT_EQ(store_->evictions(), 0);
}

TEST_F(KvDiskStoreTest, OnlyItsOwnerMayEnter) {
  Open();
  EXPECT_EQ(std::filesystem::status(path_).permissions(), std::filesystem::perms::owner_all);
}

TEST_F(KvDiskStoreTest, LeastRecentlyUsedGoesFirstWithinTheBytes) {
  const KvDiskBudget budget{.bytes = 3 * kEntryBytes, .entries = 100};
  Open(budget);
  for (const int number : {1, 2, 3}) Put(number);
  const std::vector<std::string> used{Key(1)};
  ASSERT_TRUE(store_->Touch(used).ok());
  Open(budget);  // The order of uses is part of what survives.
  Put(4);
  EXPECT_EQ(store_->bytes(), 3 * kEntryBytes);
  EXPECT_EQ(store_->evictions(), 1);
  EXPECT_TRUE(Has(1));
  EXPECT_FALSE(Has(2));
  EXPECT_TRUE(Has(3));
  EXPECT_TRUE(Has(4));
}

TEST_F(KvDiskStoreTest, OfKeysUsedTogetherTheLastGoesFirst) {
  Open({.bytes = 3 * kEntryBytes, .entries = 100});
  for (const int number : {1, 2, 3}) Put(number);
  const std::vector<std::string> used{Key(1), Key(2), Key(9), Key(3)};
  ASSERT_TRUE(store_->Touch(used).ok());
  Put(4);
  EXPECT_FALSE(Has(3));
  Put(5);
  EXPECT_FALSE(Has(2));
  EXPECT_TRUE(Has(1));
}

TEST_F(KvDiskStoreTest, TheNumberOfEntriesIsBoundedToo) {
  Open({.bytes = 1 << 20, .entries = 2});
  for (const int number : {1, 2, 3}) Put(number);
  EXPECT_EQ(store_->entries(), 2);
  EXPECT_FALSE(Has(1));
}

TEST_F(KvDiskStoreTest, ASmallerBudgetAppliesAtTheNextStart) {
  Open();
  for (const int number : {1, 2, 3}) Put(number);
  Open({.bytes = kEntryBytes, .entries = 100});
  EXPECT_EQ(store_->bytes(), kEntryBytes);
  EXPECT_TRUE(Has(3));
  Open({.bytes = kEntryBytes - 1, .entries = 100});
  EXPECT_EQ(store_->entries(), 0);
  Put(4);
  EXPECT_FALSE(Has(4)) << "larger than the whole budget";
}

TEST_F(KvDiskStoreTest, DamagedValueIsAMissAndIsDeleted) {
  for (const size_t kept : {size_t{kEntryBytes}, size_t{kEntryBytes - 1}, size_t{0}}) {
    Open();
    Put(1);
    Put(2);
    Damage([&](platform::DurableStore& raw) {
      std::string value = **raw.Get("v" + Key(1));
      value[100] ^= 1;
      value.resize(kept);
      ASSERT_TRUE(raw.Put("v" + Key(1), value, platform::Durability::kSync).ok());
    });
    Open();
    EXPECT_TRUE(store_->Contains(Key(1)));
    EXPECT_FALSE(Has(1)) << kept;
    EXPECT_FALSE(store_->Contains(Key(1)));
    EXPECT_TRUE(Has(2));
    EXPECT_EQ(store_->bytes(), kEntryBytes);
    Open();
    EXPECT_FALSE(store_->Contains(Key(1))) << "deleted for good";
  }
}

TEST_F(KvDiskStoreTest, DamagedIndexEntryIsForgotten) {
  Open();
  Put(1);
  Put(2);
  Damage([&](platform::DurableStore& raw) {
    ASSERT_TRUE(raw.Put("i" + Key(1), "short", platform::Durability::kSync).ok());
  });
  Open();
  EXPECT_FALSE(Has(1));
  EXPECT_TRUE(Has(2));
}

TEST_F(KvDiskStoreTest, ValueOfAnotherSizeIsAMiss) {
  Open();
  Put(1);
  std::vector<std::byte> read(kValueBytes / 2);
  EXPECT_FALSE(*store_->Get(Key(1), read));
}

}  // namespace
}  // namespace conclave::decoder
