#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>
#include <gtest/gtest.h>

#include "services/retriever/checks.h"
#include "services/retriever/ingest_actor.h"
#include "services/retriever/limits.h"

namespace conclave::retriever {
namespace {

/// What a stream's client saw.
struct Seen {
  IngestProgress progress;
  size_t reports = 0;
  std::optional<Status> end;
  bool paused = false;
  bool gone = false;
};

class RecordingClient final : public IngestClient {
 public:
  explicit RecordingClient(std::shared_ptr<Seen> seen) : seen_(std::move(seen)) {}
  void Report(const IngestProgress& progress, bool) override {
    seen_->progress = progress;
    ++seen_->reports;
  }
  void Finish(const Status& status) override { seen_->end = status; }
  void PauseReading() override { seen_->paused = true; }
  void ResumeReading() override { seen_->paused = false; }
  bool gone() const override { return seen_->gone; }

 private:
  std::shared_ptr<Seen> seen_;
};

DocumentPart Part(const std::string& source, const std::string& content, bool last = true) {
  return {"default", "c", source, std::nullopt, content, last};
}

TEST(Checks, CollectionNames) {
  for (const char* good : {"a", "My-Docs_2.0", "..a"}) EXPECT_TRUE(CheckCollectionName(good).ok()) << good;
  for (const std::string& bad : {std::string(), std::string("../etc"), std::string("a/b"), std::string("."),
                                 std::string(".."), std::string("a b"), std::string("a\nb"),
                                 std::string("a\0b", 3), std::string("é"), std::string(65, 'x')}) {
    EXPECT_EQ(CheckCollectionName(bad).code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST(Checks, QueriesSourcesAndTenants) {
  EXPECT_TRUE(CheckQuery(std::string(kMaxQueryBytes, 'x')).ok());
  EXPECT_FALSE(CheckQuery(std::string(kMaxQueryBytes + 1, 'x')).ok());
  EXPECT_FALSE(CheckQuery(" \n").ok());
  EXPECT_FALSE(CheckQuery("\xFF").ok());
  EXPECT_TRUE(CheckSource("https://example.org/ä?q=1").ok());
  EXPECT_FALSE(CheckSource("a\x1B[2J").ok());
  EXPECT_FALSE(CheckSource(std::string(kMaxSourceBytes + 1, 'x')).ok());
  EXPECT_EQ(TenantFor("", "me", false).value(), "me");
  EXPECT_EQ(TenantFor("you", "me", true).value(), "you");
  EXPECT_EQ(TenantFor("you", "me", false).status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(TenantFor("y/u", "me", true).status().code(), StatusCode::kInvalidArgument);
}

TEST(DocumentAssembler, PutsPartsTogether) {
  auto budget = std::make_shared<Budget>(1000);
  DocumentAssembler assembler(budget);
  EXPECT_FALSE(assembler.Add(Part("a.md", "one ", false)).value().has_value());
  EXPECT_EQ(budget->used(), 4u);
  EXPECT_TRUE(assembler.in_document());
  {
    auto whole = assembler.Add({"default", "", "", std::nullopt, "two", true});
    ASSERT_TRUE(whole.ok() && whole->has_value());
    EXPECT_EQ((*whole)->document.content, "one two");
    EXPECT_EQ((*whole)->document.format, DocumentFormat::kMarkdown);
    EXPECT_EQ(budget->used(), 7u);
  }
  EXPECT_EQ(budget->used(), 0u);
  // The collection stays until another is named.
  EXPECT_EQ(assembler.Add({"default", "", "b", std::nullopt, "", true}).value()->document.collection.name,
            "c");
}

TEST(DocumentAssembler, RefusesAndSkips) {
  auto budget = std::make_shared<Budget>(kMaxDocumentBytes + 10);
  DocumentAssembler assembler(budget);
  const auto code = [](const auto& result) { return result.status().code(); };
  EXPECT_EQ(code(DocumentAssembler(budget).Add({"default", "", "s", {}, "x", true})),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code(DocumentAssembler(budget).Add(Part("", "x"))), StatusCode::kInvalidArgument);
  EXPECT_EQ(assembler.Add(Part("a\nb", "x")).value()->skip_reason, "unusable name");
  ASSERT_TRUE(assembler.Add(Part("big", std::string(kMaxDocumentBytes, 'x'), false)).ok());
  ASSERT_TRUE(assembler.Add(Part("big", "y", false)).ok());
  EXPECT_EQ(budget->used(), 0u) << "what is skipped is not held";
  EXPECT_EQ(assembler.Add(Part("big", "z")).value()->skip_reason, "too large");
  ASSERT_TRUE(assembler.Add(Part("s", std::string(kMaxDocumentBytes, 'x'), false)).ok());
  DocumentAssembler second(budget);
  EXPECT_EQ(code(second.Add(Part("t", std::string(11, 'x')))), StatusCode::kResourceExhausted);
  EXPECT_EQ(code(assembler.Add(Part("other", "x"))), StatusCode::kInvalidArgument);
}

struct SteppedConfig : caf::actor_system_config {
  SteppedConfig() {
    set("scheduler.policy", caf::atom("testing"));
    set("logger.verbosity", caf::atom("quiet"));
  }
};

/// An IngestActor whose index is the test: groups are collected, and written when the test says so.
class IngestActorTest : public ::testing::Test {
 protected:
  IngestActorTest() {
    index_ = system_.spawn([this](caf::event_based_actor*) -> caf::behavior {
      return {[this](const IngestGroupPtr& group) { groups_.push_back(group); }};
    });
    ingest_ = system_.spawn(IngestActor, index_, std::make_shared<Analyzer>(Analyzer::Make().value()));
    Step();
  }

  ~IngestActorTest() override {
    caf::anon_send_exit(ingest_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(index_, caf::exit_reason::user_shutdown);
    Step();
  }

  void Step() { dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler()).run(); }

  std::shared_ptr<IngestSession> Open(const std::shared_ptr<Seen>& seen) {
    return std::make_shared<IngestSession>(
        std::make_unique<RecordingClient>(seen), bytes_, TakePlace(streams_).value(),
        [this](PendingDocument document) {
          caf::anon_send(ingest_, std::make_shared<PendingDocument>(std::move(document)));
        });
  }

  /// Says what became of the oldest group.
  void FinishWrite(const Status& status = Status::Ok()) {
    const IngestGroupPtr group = groups_.front();
    groups_.pop_front();
    group->results.assign(group->items.size(), status);
    caf::anon_send(ingest_, group);
    Step();
  }

  SteppedConfig config_;
  caf::actor_system system_{config_};
  caf::actor index_, ingest_;
  std::deque<IngestGroupPtr> groups_;
  std::shared_ptr<Budget> bytes_ = std::make_shared<Budget>(kMaxPendingBytes);
  std::shared_ptr<Budget> streams_ = std::make_shared<Budget>(kMaxIngestStreams);
};

TEST_F(IngestActorTest, AcknowledgesOnlyWhatIsWritten) {
  auto seen = std::make_shared<Seen>();
  auto session = Open(seen);
  session->Receive(Part("a", "first"));
  Step();
  ASSERT_EQ(groups_.size(), 1u);
  EXPECT_EQ(seen->reports, 0u);
  session->Receive(Part("b", "second"));
  session->Receive(Part("c", ""));
  session->HalfClose();
  Step();
  EXPECT_EQ(groups_.size(), 1u) << "one write at a time";
  EXPECT_EQ(seen->progress.documents, 0u);
  EXPECT_EQ(seen->progress.skipped, (std::map<std::string, uint64_t>{{"empty", 1}}));
  ASSERT_EQ(seen->progress.first_skipped.size(), 1u);
  EXPECT_EQ(seen->progress.first_skipped[0].source, "c");
  EXPECT_EQ(seen->progress.first_skipped[0].reason, "empty");
  FinishWrite();
  EXPECT_EQ(seen->progress.documents, 1u);
  EXPECT_FALSE(seen->end);
  FinishWrite();
  EXPECT_EQ(seen->progress.documents, 2u);
  EXPECT_EQ(seen->progress.chunks, 2u);
  ASSERT_TRUE(seen->end);
  EXPECT_TRUE(seen->end->ok());
  EXPECT_EQ(bytes_->used(), 0u);
  EXPECT_EQ(streams_->used(), 0u);
}

TEST_F(IngestActorTest, WhatWaitsIsWrittenTogetherAndBounded) {
  auto seen = std::make_shared<Seen>();
  auto session = Open(seen), other = Open(std::make_shared<Seen>());
  session->Receive(Part("first", "x"));
  Step();
  for (size_t i = 0; i < 40; ++i) {
    session->Receive(Part("s" + std::to_string(i), "text"));
    other->Receive(Part("t" + std::to_string(i), "text"));
  }
  Step();
  FinishWrite();
  ASSERT_EQ(groups_.size(), 1u);
  EXPECT_EQ(groups_.front()->items.size(), kMaxGroupDocuments);
  FinishWrite();
  ASSERT_EQ(groups_.size(), 1u);
  EXPECT_EQ(groups_.front()->items.size(), 80 - kMaxGroupDocuments);
}

TEST_F(IngestActorTest, AFullStreamIsNotRead) {
  auto seen = std::make_shared<Seen>();
  auto session = Open(seen);
  for (size_t i = 0; i < kMaxStreamDocuments; ++i) {
    EXPECT_FALSE(seen->paused);
    session->Receive(Part("s" + std::to_string(i), "text"));
  }
  EXPECT_TRUE(seen->paused);
  Step();
  FinishWrite();
  EXPECT_TRUE(seen->paused) << "one of many is done";
  FinishWrite();
  EXPECT_FALSE(seen->paused);
}

TEST_F(IngestActorTest, AFailedWriteEndsTheStreamUnacknowledged) {
  auto seen = std::make_shared<Seen>();
  auto session = Open(seen);
  session->Receive(Part("a", "text"));
  Step();
  FinishWrite(ResourceExhausted("the disk is full"));
  ASSERT_TRUE(seen->end);
  EXPECT_EQ(seen->end->code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(seen->progress.documents, 0u);
  session->Receive(Part("b", "text"));
  Step();
  EXPECT_TRUE(groups_.empty());
}

TEST_F(IngestActorTest, AVanishedClientCostsNothingMore) {
  auto seen = std::make_shared<Seen>();
  auto session = Open(seen);
  session->Receive(Part("a", "text"));
  Step();
  session->Receive(Part("b", "text"));
  seen->gone = true;
  Step();
  FinishWrite();
  EXPECT_TRUE(groups_.empty());
  session.reset();
  EXPECT_EQ(bytes_->used(), 0u);
}

TEST_F(IngestActorTest, ADocumentWithoutItsEndIsAnError) {
  auto seen = std::make_shared<Seen>();
  auto session = Open(seen);
  session->Receive(Part("half", "text", false));
  session->HalfClose();
  ASSERT_TRUE(seen->end);
  EXPECT_EQ(seen->end->code(), StatusCode::kInvalidArgument);
  EXPECT_NE(seen->end->message().find("half"), std::string::npos);
}

}  // namespace
}  // namespace conclave::retriever
