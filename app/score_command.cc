#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>

#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/engine_pool.h"
#include "app/model_source.h"
#include "app/npy_file.h"
#include "app/read_file.h"
#include "app/token_list.h"
#include "engine/model/compare_models.h"
#include "engine/model/language_model.h"
#include "services/decoder/kv_format.h"
#include "services/tokenizer/model_tokenizer.h"

namespace conclave::app {
namespace {

struct ScoreFlags {
  CommonFlags common;
  std::string file;
  std::string compare;
  int64_t context = 512;
  std::string token_ids;
  std::string logits_out;
};

Result<std::unique_ptr<engine::LanguageModel>> LoadModel(const platform::Config& config, int64_t context) {
  CONCLAVE_ASSIGN_OR_RETURN(const platform::ModelSource source, FindModel(config));
  auto pool = NewEnginePool(config);
  return engine::LanguageModel::Load(source.path, context, std::move(pool), decoder::KvFormatOf(config));
}

Status ScoreFile(const ScoreFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, flags.common.LoadConfig());
  CONCLAVE_ASSIGN_OR_RETURN(const platform::ModelSource source, FindModel(config));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(flags.file));
  CONCLAVE_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::LoadModelTokenizer(source.path));
  CONCLAVE_ASSIGN_OR_RETURN(const auto tokens, tokenizer->Encode(text, {}));
  CONCLAVE_ASSIGN_OR_RETURN(const auto model, LoadModel(config, flags.context));
  ProgressBar bar("scoring");
  CONCLAVE_ASSIGN_OR_RETURN(const engine::TextScore score,
                            engine::ScoreText(*model, tokens, flags.context,
                                              [&](int64_t done, int64_t total) { bar.Update(done, total); }));
  const double perplexity = std::exp(score.Mean());
  if (flags.common.json) {
    PrintLine(nlohmann::json{{"tokens", score.scored_tokens},
                             {"nll", score.Mean()},
                             {"perplexity", perplexity},
                             {"windows", score.windows},
                             {"text_tokens", tokens.size()}}
                  .dump());
  } else {
    std::ostringstream line;
    line << "perplexity " << perplexity << " (mean nll " << score.Mean() << " nats over "
         << score.scored_tokens << " tokens in " << score.windows << " windows of " << flags.context << ")";
    PrintLine(line.str());
  }
  return Status::Ok();
}

Status CompareOnFile(const ScoreFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, flags.common.LoadConfig());
  platform::Config other = config;
  other.model = flags.compare;
  CONCLAVE_ASSIGN_OR_RETURN(const platform::ModelSource source, FindModel(config));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(flags.file));
  CONCLAVE_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::LoadModelTokenizer(source.path));
  CONCLAVE_ASSIGN_OR_RETURN(const auto tokens, tokenizer->Encode(text, {}));
  CONCLAVE_ASSIGN_OR_RETURN(const auto model, LoadModel(config, flags.context));
  CONCLAVE_ASSIGN_OR_RETURN(const auto reference, LoadModel(other, flags.context));
  ProgressBar bar("comparing");
  CONCLAVE_ASSIGN_OR_RETURN(
      const engine::ModelComparison found,
      engine::CompareModels(*model, *reference, tokens, flags.context,
                            [&](int64_t done, int64_t total) { bar.Update(done, total); }));
  if (flags.common.json) {
    PrintLine(nlohmann::json{{"positions", found.positions()},
                             {"windows", found.windows},
                             {"text_tokens", tokens.size()},
                             {"kl_mean", found.Mean()},
                             {"kl_p99", found.Quantile(0.99)},
                             {"kl_maximum", found.Maximum()},
                             {"top_agreement", found.TopAgreement()}}
                  .dump());
  } else {
    std::ostringstream line;
    line << "KL divergence from " << flags.compare << ": mean " << found.Mean() << ", 99% "
         << found.Quantile(0.99) << ", maximum " << found.Maximum() << " nats; the same top token at "
         << 100.0 * found.TopAgreement() << "% of " << found.positions() << " positions in " << found.windows
         << " windows of " << flags.context;
    PrintLine(line.str());
  }
  return Status::Ok();
}

Status WriteLogits(const ScoreFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto tokens, ParseTokenList(flags.token_ids));
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, flags.common.LoadConfig());
  CONCLAVE_ASSIGN_OR_RETURN(const auto model, LoadModel(config, 0));
  const int64_t vocabulary = model->architecture().vocabulary;
  CONCLAVE_ASSIGN_OR_RETURN(
      auto out, NpyFile::Create(flags.logits_out, {static_cast<int64_t>(tokens.size()), vocabulary}));
  Status written;
  CONCLAVE_RETURN_IF_ERROR(model->ForEachLogits(tokens, 0, [&](int64_t, std::span<float> logits) {
    if (written.ok()) written = out.Append(logits);
  }));
  CONCLAVE_RETURN_IF_ERROR(written);
  CONCLAVE_RETURN_IF_ERROR(out.Close());
  const nlohmann::json line = {
      {"tokens", tokens.size()}, {"vocabulary", vocabulary}, {"logits", flags.logits_out}};
  PrintLine(flags.common.json ? line.dump() : "wrote " + flags.logits_out);
  return Status::Ok();
}

int Score(const ScoreFlags& flags) {
  if (flags.file.empty() == flags.token_ids.empty()) {
    std::cerr << "conclave score: give --file, or --token-ids with --logits-out\n";
    return kExitUsage;
  }
  if (!flags.token_ids.empty() && flags.logits_out.empty()) {
    std::cerr << "conclave score: --token-ids needs --logits-out\n";
    return kExitUsage;
  }
  if (!flags.compare.empty() && flags.file.empty()) {
    std::cerr << "conclave score: --compare needs --file\n";
    return kExitUsage;
  }
  const Status status = flags.file.empty()      ? WriteLogits(flags)
                        : flags.compare.empty() ? ScoreFile(flags)
                                                : CompareOnFile(flags);
  return status.ok() ? kExitOk : ReportFailure(status);
}

}  // namespace

void AddScoreCommand(CLI::App& program, CommandRunner& chosen) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* command = program.add_subcommand("score", "Perplexity of a text, or the logits of some tokens");
  flags->common.AddModel(*command);
  flags->common.AddJson(*command);
  command->add_option("--file,-f", flags->file, "The text to score (UTF-8)");
  command->add_option(
      "--compare", flags->compare,
      "With --file: compare with this model (the reference) instead of scoring. Reports KL "
      "divergence of --model from it, KL(reference || model), in nats, at each scored position");
  command->add_option("--context,-c", flags->context, "Tokens in a window; the second half of each is scored")
      ->capture_default_str();
  command->add_option("--token-ids", flags->token_ids, "Tokens instead of a text, for example \"1,2,3\"");
  command->add_option("--logits-out", flags->logits_out,
                      "Write float32 logits [tokens, vocabulary] to this .npy file");
  command->footer(
      "Example: conclave score --file README.md --context 512 --json\n"
      "Keys of --json: tokens, nll, perplexity, windows, text_tokens; with --compare: positions, windows,\n"
      "text_tokens, kl_mean, kl_p99, kl_maximum (nats), top_agreement (share of positions, 0 to 1).\n"
      "Text is cut into tokens as --model does; both models need the same vocabulary.");
  command->callback([flags, &chosen] { chosen = [flags] { return Score(*flags); }; });
}

}  // namespace conclave::app
