#include "services/tokenizer/staged_splitter.h"

#include "services/tokenizer/character_runs.h"

namespace conclave::tokenizer {
namespace {

class IsolatingSplitter final : public PreTokenizer {
 public:
  explicit IsolatingSplitter(MatchFunction match) : match_(match) {}

  void Split(std::string_view text, PieceSink& sink) const override {
    size_t piece = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t end = match_(text, at);
      if (end == at) {
        at += ClassifyAt(text, at).length;
        continue;
      }
      if (at > piece) sink.Piece(text.substr(piece, at - piece));
      sink.Piece(text.substr(at, end - at));
      at = piece = end;
    }
    if (piece < text.size()) sink.Piece(text.substr(piece));
  }

 private:
  const MatchFunction match_;
};

class StagedSplitter final : public PreTokenizer {
 public:
  explicit StagedSplitter(std::vector<std::shared_ptr<const PreTokenizer>> stages)
      : stages_(std::move(stages)) {}

  void Split(std::string_view text, PieceSink& sink) const override { SplitFrom(0, text, sink); }

 private:
  /// Hands the pieces of one stage to the next.
  struct NextStage final : PieceSink {
    NextStage(const StagedSplitter& splitter, size_t stage, PieceSink& sink)
        : splitter(splitter), stage(stage), sink(sink) {}
    void Piece(std::string_view piece) override { splitter.SplitFrom(stage, piece, sink); }

    const StagedSplitter& splitter;
    const size_t stage;
    PieceSink& sink;
  };

  void SplitFrom(size_t stage, std::string_view text, PieceSink& sink) const {
    if (stage == stages_.size()) return sink.Piece(text);
    NextStage next(*this, stage + 1, sink);
    stages_[stage]->Split(text, next);
  }

  const std::vector<std::shared_ptr<const PreTokenizer>> stages_;
};

}  // namespace

std::shared_ptr<const PreTokenizer> MakeIsolatingSplitter(MatchFunction match) {
  return std::make_shared<IsolatingSplitter>(match);
}

std::shared_ptr<const PreTokenizer> MakeStagedSplitter(
    std::vector<std::shared_ptr<const PreTokenizer>> stages) {
  return std::make_shared<StagedSplitter>(std::move(stages));
}

}  // namespace conclave::tokenizer
