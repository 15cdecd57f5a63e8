#include "platform/storage/durable_store.h"

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/platform/test_support.h"

namespace conclave::platform {
namespace {

using test::TemporaryFolder;

std::unique_ptr<DurableStore> OpenOrDie(const std::filesystem::path& path) {
  auto store = DurableStore::Open(path);
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return std::move(store).value();
}

std::vector<std::string> KeysOf(const DurableStore& store, const ScanOptions& options, size_t limit = 100) {
  std::vector<std::string> keys;
  const Status status = store.Scan(options, [&](std::string_view key, std::string_view) {
    keys.emplace_back(key);
    return keys.size() < limit;
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return keys;
}

using Keys = std::vector<std::string>;

TEST(DurableStoreTest, KeepsBinaryKeysAndValuesOverReopening) {
  const TemporaryFolder folder;
  const std::string key("a\0b\xff", 4);
  const std::string value("\0\n\xff", 3);
  {
    const auto store = OpenOrDie(folder.path() / "made" / "when" / "missing");
    ASSERT_TRUE(store->Put(key, value, Durability::kSync).ok());
    EXPECT_EQ(*store->Get("absent"), std::nullopt);
  }
  const auto store = OpenOrDie(folder.path() / "made" / "when" / "missing");
  EXPECT_EQ(*store->Get(key), value);
  ASSERT_TRUE(store->Delete(key, Durability::kAsync).ok());
  EXPECT_EQ(*store->Get(key), std::nullopt);
}

TEST(DurableStoreTest, ScansInOrderWithinThePrefix) {
  const TemporaryFolder folder;
  const auto store = OpenOrDie(folder.path());
  WriteBatch batch;
  for (const char* key : {"b/2", "a", "b/1", "b/3", "b0", "c"}) batch.Put(key, key);
  EXPECT_EQ(batch.operations(), 6u);
  ASSERT_TRUE(store->Write(std::move(batch), Durability::kAsync).ok());

  EXPECT_EQ(KeysOf(*store, {.prefix = "b/"}), (Keys{"b/1", "b/2", "b/3"}));
  EXPECT_EQ(KeysOf(*store, {.prefix = "b/", .from_key = "b/2"}), (Keys{"b/2", "b/3"}));
  EXPECT_EQ(KeysOf(*store, {.prefix = "b/", .from_key = "a"}), (Keys{"b/1", "b/2", "b/3"}));
  EXPECT_EQ(KeysOf(*store, {.prefix = "b/", .reverse = true}), (Keys{"b/3", "b/2", "b/1"}));
  EXPECT_EQ(KeysOf(*store, {.prefix = "b/", .from_key = "b/2", .reverse = true}), (Keys{"b/2", "b/1"}));
  EXPECT_EQ(KeysOf(*store, {.prefix = "b/", .from_key = "z", .reverse = true}), (Keys{"b/3", "b/2", "b/1"}));
  EXPECT_EQ(KeysOf(*store, {.reverse = true}, 1), (Keys{"c"}));
  EXPECT_EQ(KeysOf(*store, {}).size(), 6u);
  EXPECT_EQ(KeysOf(*store, {.prefix = "b/"}, 2), (Keys{"b/1", "b/2"}));
  EXPECT_TRUE(KeysOf(*store, {.prefix = "nothing"}).empty());
}

TEST(DurableStoreTest, PrefixEndIsTheNextKeyBehindThePrefix) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd("a\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff\xff"), "");
  EXPECT_EQ(PrefixEnd(""), "");
}

TEST(DurableStoreTest, DeletesAPrefixAndNothingElse) {
  const TemporaryFolder folder;
  const auto store = OpenOrDie(folder.path());
  for (const char* key : {"a", "p/1", "p/\xff\xff", "q"})
    ASSERT_TRUE(store->Put(key, "", Durability::kAsync).ok());
  WriteBatch batch;
  batch.DeletePrefix("p/");
  ASSERT_TRUE(store->Write(std::move(batch), Durability::kSync).ok());
  EXPECT_EQ(KeysOf(*store, {}), (Keys{"a", "q"}));
}

TEST(DurableStoreTest, ASnapshotDoesNotSeeLaterChanges) {
  const TemporaryFolder folder;
  const auto store = OpenOrDie(folder.path());
  ASSERT_TRUE(store->Put("key", "old", Durability::kAsync).ok());
  const StoreSnapshot snapshot = store->TakeSnapshot();
  ASSERT_TRUE(store->Put("key", "new", Durability::kAsync).ok());
  ASSERT_TRUE(store->Put("key2", "new", Durability::kAsync).ok());
  EXPECT_EQ(*store->Get("key", &snapshot), "old");
  EXPECT_EQ(*store->Get("key"), "new");
  EXPECT_EQ(KeysOf(*store, {.snapshot = &snapshot}), (Keys{"key"}));
}

TEST(DurableStoreTest, ASecondOpenerIsToldWhoHoldsTheFolder) {
  const TemporaryFolder folder;
  const auto store = OpenOrDie(folder.path());
  const auto second = DurableStore::Open(folder.path());
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition) << second.status().ToString();
  EXPECT_NE(second.status().message().find("this very process"), std::string::npos)
      << second.status().ToString();
}

TEST(DurableStoreTest, AnotherProcessIsNamedAsTheHolder) {
  const TemporaryFolder folder;
  int ready[2];
  int finish[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(finish), 0);
  {
    const auto store = OpenOrDie(folder.path());
  }
  const pid_t child = fork();
  if (child == 0) {  // Only what is safe after fork: hold the lock as RocksDB does, until told to end.
    const int descriptor = open((folder.path() / "LOCK").c_str(), O_RDWR);
    struct flock lock{};
    lock.l_type = F_WRLCK;
    const char ok = fcntl(descriptor, F_SETLK, &lock) == 0;
    (void)!write(ready[1], &ok, 1);
    char byte;
    (void)!read(finish[0], &byte, 1);
    _exit(0);
  }
  char ok = 0;
  ASSERT_EQ(read(ready[0], &ok, 1), 1);
  ASSERT_EQ(ok, 1);
  const auto second = DurableStore::Open(folder.path());
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(second.status().message().find("process " + std::to_string(child)), std::string::npos)
      << second.status().ToString();
  ASSERT_EQ(write(finish[1], "x", 1), 1);
  waitpid(child, nullptr, 0);
  for (const int end : {ready[0], ready[1], finish[0], finish[1]}) close(end);
  EXPECT_TRUE(DurableStore::Open(folder.path()).ok());
}

TEST(DurableStoreTest, DamagedFilesAreDataLoss) {
  const TemporaryFolder folder;
  {
    ASSERT_TRUE(OpenOrDie(folder.path())->Put("key", "value", Durability::kSync).ok());
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    if (entry.path().filename().string().starts_with("MANIFEST"))
      std::filesystem::resize_file(entry.path(), 3);
  }
  const auto reopened = DurableStore::Open(folder.path());
  EXPECT_EQ(reopened.status().code(), StatusCode::kDataLoss) << reopened.status().ToString();
}

TEST(DurableStoreTest, DamageInTheMiddleOfTheLogIsNotPassedOverInSilence) {
  const TemporaryFolder folder;
  const TemporaryFolder copy;
  {
    const auto store = OpenOrDie(folder.path());
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(store->Put("key" + std::to_string(i), std::string(500, 'x'), Durability::kSync).ok());
    }
    // What a kill -9 would leave: the log that no table file holds yet.
    std::filesystem::copy(folder.path(), copy.path() / "store", std::filesystem::copy_options::recursive);
  }
  std::filesystem::remove(copy.path() / "store" / "LOCK");
  for (const auto& entry : std::filesystem::directory_iterator(copy.path() / "store")) {
    if (entry.path().extension() != ".log") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1000);
    file << "damage";
  }
  EXPECT_EQ(DurableStore::Open(copy.path() / "store").status().code(), StatusCode::kDataLoss);
}

TEST(DurableStoreTest, AFolderThatCannotBeMadeIsAClearError) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "not a folder";
  const auto store = DurableStore::Open(folder.path() / "file" / "store");
  EXPECT_EQ(store.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(store.status().message().find("file/store"), std::string::npos);
}

}  // namespace
}  // namespace conclave::platform
