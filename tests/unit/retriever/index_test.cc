#include <atomic>
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "services/retriever/analyzer.h"
#include "services/retriever/index_reader.h"
#include "services/retriever/index_writer.h"
#include "services/retriever/limits.h"
#include "services/retriever/posting_block.h"
#include "services/retriever/prepare_document.h"
#include "tests/support/temporary_folder.h"

namespace conclave::retriever {
namespace {

using Scores = std::map<std::pair<std::string, std::string>, double>;  // (source, text) to score

class IndexTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open() {
    writer_.reset();
    reader_.reset();
    store_.reset();
    auto store = OpenIndex(folder_.path() + "/index");
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    store_ = *std::move(store);
    writer_ = std::make_unique<IndexWriter>(*store_);
    reader_ = std::make_unique<IndexReader>(*store_);
  }

  PreparedDocument Prepare(const std::string& source, const std::string& text,
                           const CollectionId& collection) {
    return PrepareDocument({collection, source, DocumentFormat::kText, text}, analyzer_, {.target_words = 20})
        .document;
  }

  void Add(const std::string& source, const std::string& text, const CollectionId& collection = kCollection) {
    const PreparedDocument document = Prepare(source, text, collection);
    const auto results = writer_->Add({&document});
    ASSERT_TRUE(results[0].ok()) << results[0].ToString();
  }

  std::vector<SearchHit> Search(const std::string& query, const CollectionId& collection = kCollection,
                                size_t top_n = 1000) {
    auto hits = reader_->Search(collection, analyzer_.Analyze(query), top_n);
    EXPECT_TRUE(hits.ok()) << hits.status().ToString();
    return hits.ok() ? *std::move(hits) : std::vector<SearchHit>();
  }

  std::vector<std::string> Sources(const std::string& query, const CollectionId& collection = kCollection) {
    std::vector<std::string> sources;
    for (const SearchHit& hit : Search(query, collection)) sources.push_back(hit.source);
    return sources;
  }

  static inline const CollectionId kCollection{"default", "c"};
  testing::TemporaryFolder folder_;
  Analyzer analyzer_ = Analyzer::Make().value();
  std::unique_ptr<platform::DurableStore> store_;
  std::unique_ptr<IndexWriter> writer_;
  std::unique_ptr<IndexReader> reader_;
};

TEST_F(IndexTest, FindsRanksAndForgets) {
  Add("a", "The cat sat on the mat.");
  Add("b", "A dog chased the cat and another cat.");
  Add("c", "Nothing of interest here.");
  EXPECT_EQ(Sources("cats"), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(Sources("zebra"), std::vector<std::string>());
  Add("b", "Now about horses.");
  EXPECT_EQ(Sources("cat"), std::vector<std::string>{"a"});
  EXPECT_EQ(Sources("horse"), std::vector<std::string>{"b"});
  const auto deleted = writer_->DeleteSource(kCollection, "a");
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->chunks, 1u);
  EXPECT_EQ(Sources("cat"), std::vector<std::string>());
  EXPECT_EQ(writer_->DeleteSource(kCollection, "a").status().code(), StatusCode::kNotFound);
}

TEST_F(IndexTest, UnknownCollectionsAreNotFound) {
  EXPECT_EQ(reader_->Search(kCollection, {"x"}, 5).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(writer_->DeleteCollection(kCollection).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(writer_->DeleteSource(kCollection, "s").status().code(), StatusCode::kNotFound);
}

TEST_F(IndexTest, TheSameSourceTwiceInOneWriteLeavesTheLast) {
  const PreparedDocument first = Prepare("s", "apple", kCollection),
                         other = Prepare("t", "apple", kCollection);
  const PreparedDocument second = Prepare("s", "banana", kCollection);
  for (const Status& status : writer_->Add({&first, &other, &second})) EXPECT_TRUE(status.ok());
  EXPECT_EQ(Sources("apple"), std::vector<std::string>{"t"});
  EXPECT_EQ(Sources("banana"), std::vector<std::string>{"s"});
  const auto listed = reader_->ListCollections("default");
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().documents, 2u);
  EXPECT_EQ(listed->front().chunks, 2u);
  EXPECT_EQ(listed->front().text_bytes, 11u);
}

TEST_F(IndexTest, TenantsAndCollectionsShareNothing) {
  const CollectionId other_tenant{"tenant", "c"}, other_collection{"default", "c2"}, joined{"defaul", "tc"};
  Add("s", "apple pie");
  const double alone = Search("apple")[0].score;
  for (const CollectionId& other : {other_tenant, other_collection, joined}) {
    for (int i = 0; i < 5; ++i) Add("x" + std::to_string(i), "apple apple tree", other);
  }
  EXPECT_EQ(Sources("tree"), std::vector<std::string>());
  EXPECT_EQ(Search("apple")[0].score, alone) << "another's documents change no statistics";
  EXPECT_EQ(reader_->ListCollections("tenant")->size(), 1u);
  EXPECT_EQ(reader_->ListCollections("default")->size(), 2u);
  EXPECT_EQ(reader_->ListCollections("nobody")->size(), 0u);
  ASSERT_TRUE(writer_->DeleteCollection(kCollection).ok());
  EXPECT_EQ(Sources("apple", other_tenant).size(), 5u);
  EXPECT_EQ(Sources("apple", other_collection).size(), 5u);
  EXPECT_EQ(reader_->Search(kCollection, {"appl"}, 5).status().code(), StatusCode::kNotFound);
}

/// Random additions, replacements and deletions, over a restart, give what a plain model of BM25 gives.
TEST_F(IndexTest, AgreesWithAPlainModelAfterManyChanges) {
  std::mt19937 random(42);
  std::map<std::string, PreparedDocument> model;
  const auto words = [&](size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += "w" + std::to_string(random() % (1 + random() % 50)) + " ";
    return text;
  };
  for (int step = 0; step < 400; ++step) {
    const std::string source = "s" + std::to_string(random() % 60);
    if (random() % 4 == 0 && model.contains(source)) {
      ASSERT_TRUE(writer_->DeleteSource(kCollection, source).ok());
      model.erase(source);
    } else {
      model[source] = Prepare(source, words(1 + random() % 200), kCollection);
      ASSERT_TRUE(writer_->Add({&model[source]})[0].ok());
    }
    if (step % 100 == 99) Open();
  }
  uint64_t passages = 0, total = 0;
  std::map<std::string, uint64_t> with_term;
  for (const auto& [source, document] : model) {
    for (const auto& passage : document.passages) {
      ++passages;
      total += passage.length;
      for (const auto& [term, count] : passage.terms) ++with_term[term];
    }
  }
  for (const std::string query : {"w0", "w1 w2 w3", "w7 w7 w40", "w49 absent"}) {
    Scores expected, found;
    for (const auto& [source, document] : model) {
      for (const auto& passage : document.passages) {
        double score = 0;
        for (const std::string& term : analyzer_.Analyze(query)) {
          const auto at = passage.terms.find(term);
          if (at == passage.terms.end()) continue;
          const double norm = Bm25Norm({}, passage.length, static_cast<double>(total) / passages);
          score += Bm25Term(Bm25Idf(passages, with_term[term]), at->second, norm);
        }
        if (score > 0) expected[{source, passage.chunk.text}] += score;
      }
    }
    for (const SearchHit& hit : Search(query)) found[{hit.source, hit.chunk.text}] += hit.score;
    ASSERT_EQ(found.size(), expected.size()) << query;
    for (const auto& [key, score] : expected) ASSERT_NEAR(found[key], score, 1e-9) << query;
  }
}

TEST_F(IndexTest, DeletingEverythingLeavesNothingBehind) {
  for (int i = 0; i < 20; ++i) Add("s" + std::to_string(i), "some words to keep " + std::to_string(i));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(writer_->DeleteSource(kCollection, "s" + std::to_string(i)).ok());
  size_t keys = 0;
  ASSERT_TRUE(store_->Scan({}, [&](std::string_view, std::string_view) { return ++keys < 100; }).ok());
  EXPECT_EQ(keys, 2u) << "the version and the empty collection's record";
  EXPECT_EQ(Sources("words"), std::vector<std::string>());
}

TEST_F(IndexTest, ASearchSeesTheOldOrTheNewDocument) {
  // Every passage of one version holds its mark; a mixture would show two marks or a wrong count.
  const auto version = [](const std::string& mark) {
    std::string text;
    for (int i = 0; i < 30; ++i)
      text += "common " + mark + " " + std::string("x") + std::to_string(i) + "\n\n";
    return text;
  };
  Add("s", version("even"));
  std::atomic<bool> stop = false;
  std::atomic<int> searches = 0, mixtures = 0;
  std::thread searcher([&] {
    Analyzer analyzer = Analyzer::Make().value();
    while (!stop) {
      const auto hits = reader_->Search(kCollection, analyzer.Analyze("common"), 1000);
      std::map<bool, size_t> by_mark;
      for (const SearchHit& hit : *hits) ++by_mark[hit.chunk.text.find("even") != std::string::npos];
      mixtures += by_mark.size() != 1;
      ++searches;
    }
  });
  for (int i = 0; i < 40 || searches < 20; ++i) Add("s", version(i % 2 ? "even" : "odd"));
  stop = true;
  searcher.join();
  EXPECT_EQ(mixtures, 0);
  EXPECT_GT(searches, 0);
}

TEST_F(IndexTest, RefusesAnotherLayout) {
  ASSERT_TRUE(store_->Put("v", "99", platform::Durability::kSync).ok());
  writer_.reset();
  reader_.reset();
  store_.reset();
  const auto opened = OpenIndex(folder_.path() + "/index");
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(opened.status().message().find("99"), std::string::npos);
}

TEST_F(IndexTest, DamageIsReportedNotServed) {
  Add("s", "apple pie");
  std::string key;
  ASSERT_TRUE(store_
                  ->Scan({},
                         [&](std::string_view at, std::string_view) {
                           if (at.find("pappl") != std::string_view::npos) key = at;
                           return true;
                         })
                  .ok());
  ASSERT_FALSE(key.empty());
  ASSERT_TRUE(store_->Put(key, "\xFF\xFF", platform::Durability::kSync).ok());
  EXPECT_EQ(reader_->Search(kCollection, {"appl"}, 5).status().code(), StatusCode::kDataLoss);
}

TEST_F(IndexTest, SearchStopsWhenCancelled) {
  Add("s", "apple pie");
  const auto hits = reader_->Search(kCollection, {"appl"}, 5, [] { return true; });
  EXPECT_EQ(hits.status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace conclave::retriever
