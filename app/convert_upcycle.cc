#include "app/convert_upcycle.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/convert_source.h"
#include "app/engine_pool.h"
#include "app/json_line.h"
#include "app/removed_on_signal.h"
#include "engine/files/new_file.h"
#include "engine/model/language_model.h"
#include "engine/upcycle/upcycle_model.h"

namespace conclave::app {
namespace {

struct UpcycleFlags {
  CommonFlags common;
  engine::ExpertWish wish;
  std::string calibrate;
  int64_t context = 512;
  int64_t calibration_memory_mib = 4096;
  bool force = false;
  std::string in;
  std::string out;
};

struct Planned {
  engine::Architecture dense;
  engine::ExpertShape shape;
  engine::ExpertPlan plan;
};

/// Blocks that a layer's neurons come in: what the kernels and the new down projections need.
int64_t NeuronBlock(const std::vector<engine::TensorView>& downs) {
  int64_t block = engine::kActivationBlock;
  for (const engine::TensorView& down : downs) {
    block = std::max(block, engine::InfoOf(engine::ExpertDownType(down.dtype)).block_elements);
  }
  return block;
}

Result<Planned> PlanModel(const UpcycleFlags& flags, const std::string& in,
                          const engine::QuantiseSource& source,
                          const std::shared_ptr<engine::ThreadPool>& pool) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, CalibrationTokens(flags.calibrate, in));
  CONCLAVE_ASSIGN_OR_RETURN(const auto model, engine::LanguageModel::Load(in, flags.context, pool));
  Planned planned{.dense = model->architecture(), .shape = {}, .plan = {}};
  CONCLAVE_RETURN_IF_ERROR(engine::CheckDense(planned.dense));
  CONCLAVE_ASSIGN_OR_RETURN(const auto downs, engine::DownProjections(source, planned.dense.layers));
  CONCLAVE_ASSIGN_OR_RETURN(planned.shape,
                            engine::ShapeExperts(flags.wish, planned.dense.inner, NeuronBlock(downs)));
  const engine::PlanOptions options{.shape = planned.shape,
                                    .window = flags.context,
                                    .memory_bytes = static_cast<uint64_t>(flags.calibration_memory_mib)
                                                    << 20};
  ProgressBar bar("grouping neurons");
  CONCLAVE_ASSIGN_OR_RETURN(
      planned.plan, engine::PlanExperts(*model, downs, tokens, options,
                                        [&](int64_t done, int64_t total) { bar.Update(done, total); }));
  return planned;
}

/// The mean over the layers of what tokens keep.
double MeanShare(const engine::ExpertPlan& plan, double engine::LayerPlan::* share) {
  double sum = 0.0;
  for (const engine::LayerPlan& layer : plan.layers) sum += layer.*share;
  return sum / static_cast<double>(plan.layers.size());
}

std::string PercentText(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f%%", 100.0 * share);
  return text;
}

void PrintExperts(const UpcycleFlags& flags, const Planned& planned, const engine::UpcycleReport& report) {
  const engine::ExpertShape& shape = planned.shape;
  const double kept = MeanShare(planned.plan, &engine::LayerPlan::kept);
  const double kept_at_best = MeanShare(planned.plan, &engine::LayerPlan::kept_at_best);
  const std::string down(engine::InfoOf(report.down).name);
  if (flags.common.json) {
    PrintLine(JsonLine({{"out", flags.out},
                        {"experts", shape.experts},
                        {"top_k", shape.chosen},
                        {"expert_width", shape.width},
                        {"shared_width", shape.shared_width},
                        {"active_share", shape.active_share()},
                        {"kept", kept},
                        {"kept_at_best", kept_at_best},
                        {"down_type", down},
                        {"source_bytes", report.source_bytes},
                        {"bytes", report.bytes},
                        {"calibration_tokens", planned.plan.tokens}}));
    return;
  }
  PrintLine("wrote " + flags.out + ": " + std::to_string(report.bytes) + " bytes (of " +
            std::to_string(report.source_bytes) + "), " + std::to_string(shape.chosen) + " of " +
            std::to_string(shape.experts) + " experts of " + std::to_string(shape.width) +
            " and a shared one of " + std::to_string(shape.shared_width) + ": a token uses " +
            PercentText(shape.active_share()) + " of the feed-forward weights; the routers keep " +
            PercentText(kept) + " of the grouped energy (the best " + "choice " + PercentText(kept_at_best) +
            ") of " + std::to_string(planned.plan.tokens) + " tokens; down projections " + down);
}

Status UpcycleModel(const UpcycleFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, flags.common.LoadConfig());
  CONCLAVE_ASSIGN_OR_RETURN(const std::string in, ConvertSourcePath(flags.in, config));
  CONCLAVE_RETURN_IF_ERROR(CheckConvertPaths(in, flags.out, flags.force));
  CONCLAVE_ASSIGN_OR_RETURN(const engine::QuantiseSource source, OpenConvertSource(in, true));
  const RemovedOnSignal removed(engine::NewFile::PartialPath(flags.out));
  // Whether the file can be written, before minutes are spent: it takes about as much room as its source.
  CONCLAVE_RETURN_IF_ERROR(engine::NewFile::Create(flags.out, source.bytes, flags.force).status());
  const auto pool = NewEnginePool(config);
  CONCLAVE_ASSIGN_OR_RETURN(const Planned planned, PlanModel(flags, in, source, pool));
  ProgressBar bar("writing experts");
  CONCLAVE_ASSIGN_OR_RETURN(
      const engine::UpcycleReport report,
      engine::WriteUpcycled(source, planned.dense, planned.shape, planned.plan, flags.out, flags.force, *pool,
                            [&](int64_t done, int64_t total) { bar.Update(done, total); }));
  PrintExperts(flags, planned, report);
  return Status::Ok();
}

void AddShape(CLI::App& command, UpcycleFlags& flags) {
  command.add_option("--experts", flags.wish.experts, "Experts that a router chooses among, of equal width")
      ->capture_default_str();
  command
      .add_option("--top-k", flags.wish.chosen, "Experts that each token uses; all of them: the dense model")
      ->capture_default_str();
  command
      .add_option("--shared", flags.wish.shared,
                  "Which part of the neurons, those that matter most on average, every token uses; 0: none")
      ->capture_default_str();
}

void AddCalibration(CLI::App& command, UpcycleFlags& flags) {
  command
      .add_option(
          "--calibrate", flags.calibrate,
          "A text (UTF-8) like those the model is for: what neurons do on it decides who belongs together")
      ->required();
  command.add_option("--context,-c", flags.context, "Tokens in a window of the text")->capture_default_str();
  command
      .add_option("--calibration-memory-mib", flags.calibration_memory_mib,
                  "What activations may take at once; with less, the text is read more often")
      ->capture_default_str()
      ->check(WholeNumber(1, 1 << 20));
}

}  // namespace

void AddUpcycle(CLI::App& convert, CommandRunner& chosen) {
  auto flags = std::make_shared<UpcycleFlags>();
  CLI::App* command = convert.add_subcommand(
      "upcycle", "Split a dense model's feed-forward blocks into experts, without training");
  AddShape(*command, *flags);
  AddCalibration(*command, *flags);
  command->add_flag("--force", flags->force, "Replace OUT if it exists");
  command->add_option("--threads,-t", flags->common.threads, "Engine threads; 0: one for each processor")
      ->check(WholeNumber(0, 1024));
  flags->common.AddJson(*command);
  command
      ->add_option("MODEL", flags->in,
                   "A dense model: a .gguf file, a folder with config.json, safetensors and tokenizer.json, "
                   "or a model's name")
      ->required();
  command->add_option("OUT", flags->out, "The .gguf file to write")->required();
  command->footer(
      "Example: conclave convert upcycle --experts 8 --top-k 6 --calibrate notes.txt smollm2-135m-instruct "
      "sparse.gguf\n"
      "The file is of a family of Conclave's own ('conclave-moe'); other programs refuse it. The result is "
      "less\n"
      "exact the fewer experts a token uses: measure it with conclave score --model OUT --compare MODEL "
      "--file "
      "T.\n"
      "Of a quantised model the down projections become Q8_0, as their columns are grouped anew; all else "
      "keeps\n"
      "its bits. Keys of --json: out, experts, top_k, expert_width, shared_width, active_share (of the\n"
      "feed-forward weights that a token uses), kept and kept_at_best (of the grouped neurons' energy, by "
      "the\n"
      "routers and by the best choice), down_type, source_bytes, bytes, calibration_tokens.");
  command->callback([flags, &chosen] {
    chosen = [flags] {
      const Status status = UpcycleModel(*flags);
      return status.ok() ? kExitOk : ReportFailure(status);
    };
  });
}

}  // namespace conclave::app
