#include <memory>
#include <sstream>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/convert_source.h"
#include "app/convert_upcycle.h"
#include "app/engine_pool.h"
#include "app/json_line.h"
#include "app/removed_on_signal.h"
#include "engine/files/new_file.h"
#include "engine/quantise/calibrate.h"
#include "engine/quantise/quantise_model.h"

namespace conclave::app {
namespace {

struct QuantizeFlags {
  CommonFlags common;
  std::string type = "Q4_K";
  std::string output_type;
  std::string calibrate;
  int64_t context = 512;
  int64_t calibration_memory_mib = 4096;
  bool requantize = false;
  bool force = false;
  std::string in;
  std::string out;
};

struct Calibration {
  engine::Importance importance;
  int64_t tokens = 0;
};

/// What the caller asked for. Errors: INVALID_ARGUMENT.
Result<engine::QuantiseOptions> OptionsOf(const QuantizeFlags& flags) {
  engine::QuantiseOptions options{.replace = flags.force};
  CONCLAVE_ASSIGN_OR_RETURN(options.types.matrices, engine::ParseTargetType(flags.type));
  options.types.head =
      engine::IsQuantised(options.types.matrices) ? engine::DType::kQ8_0 : options.types.matrices;
  if (!flags.output_type.empty()) {
    CONCLAVE_ASSIGN_OR_RETURN(options.types.head, engine::ParseTargetType(flags.output_type));
  }
  return options;
}

Result<Calibration> CalibrateOn(const QuantizeFlags& flags, const std::string& in,
                                const std::shared_ptr<engine::ThreadPool>& pool) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, CalibrationTokens(flags.calibrate, in));
  CONCLAVE_ASSIGN_OR_RETURN(const auto model, engine::LanguageModel::Load(in, flags.context, pool));
  const engine::CalibrationOptions options{
      .window = flags.context, .memory_bytes = static_cast<uint64_t>(flags.calibration_memory_mib) << 20};
  ProgressBar bar("calibrating");
  Calibration calibration;
  CONCLAVE_ASSIGN_OR_RETURN(calibration.importance,
                            engine::Calibrate(*model, tokens, options,
                                              [&](int64_t done, int64_t total) { bar.Update(done, total); }));
  calibration.tokens = static_cast<int64_t>(tokens.size()) / flags.context * flags.context;
  return calibration;
}

void PrintReport(const QuantizeFlags& flags, const engine::QuantiseOptions& options,
                 const engine::QuantiseReport& report, int64_t calibration_tokens) {
  const std::string type(engine::InfoOf(options.types.matrices).name);
  const std::string head(engine::InfoOf(options.types.head).name);
  if (flags.common.json) {
    PrintLine(JsonLine({{"out", flags.out},
                        {"type", type},
                        {"output_type", head},
                        {"tensors", report.tensors},
                        {"replaced", report.replaced},
                        {"source_bytes", report.source_bytes},
                        {"bytes", report.bytes},
                        {"calibration_tokens", calibration_tokens}}));
    return;
  }
  std::ostringstream line;
  line << "wrote " << flags.out << ": " << report.bytes << " bytes (of " << report.source_bytes << "), "
       << type << ", output head " << head << ", ";
  if (calibration_tokens > 0) {
    line << "calibrated on " << calibration_tokens << " tokens";
  } else {
    line << "not calibrated";
  }
  if (report.replaced > 0) {
    line << "; " << report.replaced << " matrices have rows that are not whole " << type
         << " blocks and took another type";
  }
  PrintLine(line.str());
}

Status QuantizeModel(const QuantizeFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const engine::QuantiseOptions options, OptionsOf(flags));
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, flags.common.LoadConfig());
  CONCLAVE_ASSIGN_OR_RETURN(const std::string in, ConvertSourcePath(flags.in, config));
  CONCLAVE_RETURN_IF_ERROR(CheckConvertPaths(in, flags.out, flags.force));
  CONCLAVE_ASSIGN_OR_RETURN(const engine::QuantiseSource source, OpenConvertSource(in, flags.requantize));
  const auto pool = NewEnginePool(config);
  Calibration calibration;
  if (!flags.calibrate.empty()) {
    CONCLAVE_ASSIGN_OR_RETURN(calibration, CalibrateOn(flags, in, pool));
  }
  const RemovedOnSignal removed(engine::NewFile::PartialPath(flags.out));
  ProgressBar bar("quantising");
  CONCLAVE_ASSIGN_OR_RETURN(
      const engine::QuantiseReport report,
      engine::QuantiseModel(source, flags.out, options, calibration.importance, *pool,
                            [&](int64_t done, int64_t total) { bar.Update(done, total); }));
  PrintReport(flags, options, report, calibration.tokens);
  return Status::Ok();
}

void AddQuantize(CLI::App& convert, CommandRunner& chosen) {
  auto flags = std::make_shared<QuantizeFlags>();
  CLI::App* command = convert.add_subcommand("quantize", "Write a model with fewer bits a weight");
  command->add_option("--type", flags->type, "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, F16 or F32")
      ->capture_default_str();
  command->add_option(
      "--output-type", flags->output_type,
      "The type of the output head (the embedding table where it is the head too); Q8_0 unless "
      "given, as errors there reach the logits undamped");
  command->add_option("--calibrate", flags->calibrate,
                      "A text (UTF-8) like those the model is for: weights that meet large activations on it "
                      "are rounded with more care");
  command->add_option("--context,-c", flags->context, "Tokens in a window of the calibration")
      ->capture_default_str();
  command
      ->add_option(
          "--calibration-memory-mib", flags->calibration_memory_mib,
          "What the calibration's statistics may take; with less, fewer columns are rounded together")
      ->capture_default_str()
      ->check(WholeNumber(1, 1 << 20));
  command->add_flag("--requantize", flags->requantize,
                    "Allow a model that is quantised already; its errors stay, and new ones add up");
  command->add_flag("--force", flags->force, "Replace OUT if it exists");
  command->add_option("--threads,-t", flags->common.threads, "Engine threads; 0: one for each processor")
      ->check(WholeNumber(0, 1024));
  flags->common.AddJson(*command);
  command
      ->add_option("IN", flags->in,
                   "A .gguf file, a folder with config.json, safetensors and tokenizer.json, "
                   "or a model's name")
      ->required();
  command->add_option("OUT", flags->out, "The .gguf file to write")->required();
  command->footer(
      "Example: conclave convert quantize --type Q4_K --calibrate notes.txt model-f16.gguf model-q4_k.gguf\n"
      "A folder's model (Llama or Mistral family, byte-level BPE) becomes a .gguf file with its tokenizer "
      "and\n"
      "chat template; --type F16 only converts it.\n"
      "Matrices whose rows are not whole blocks of 256 take Q5_0 for Q4_K, Q5_1 for Q5_K, Q8_0 for Q6_K.\n"
      "Norms and biases stay F32. Compare: conclave score --model OUT --compare IN --file text.txt\n"
      "Keys of --json: out, type, output_type, tensors (type to count), replaced (matrices of another "
      "type),\n"
      "source_bytes, bytes, calibration_tokens.");
  command->callback([flags, &chosen] {
    chosen = [flags] {
      const Status status = QuantizeModel(*flags);
      return status.ok() ? kExitOk : ReportFailure(status);
    };
  });
}

}  // namespace

void AddConvertCommand(CLI::App& program, CommandRunner& chosen) {
  CLI::App* command = program.add_subcommand("convert", "Turn a model's file into another one");
  command->require_subcommand(1);
  command->footer("Example: conclave convert quantize --type Q4_K model-f16.gguf model-q4_k.gguf");
  AddQuantize(*command, chosen);
  AddUpcycle(*command, chosen);
}

}  // namespace conclave::app
