#include "services/tokenizer/tokenizer_module.h"

#include <utility>

#include "services/tokenizer/tokenizer_service.h"

namespace conclave::tokenizer {
namespace {

v1::ModelIdentity IdentityOf(const platform::ModelSource& model) {
  v1::ModelIdentity identity;
  identity.set_name(model.name);
  identity.set_model_hash(model.hash);
  return identity;
}

class TokenizerModule final : public platform::ServiceModule {
 public:
  TokenizerModule(const platform::ModuleContext& context, std::shared_ptr<const ModelTokenizer> tokenizer)
      : counters_(context.metrics),
        service_(std::move(tokenizer), IdentityOf(context.model), queue_, counters_),
        queue_([this](size_t bytes) { counters_.queued_bytes.Set(static_cast<double>(bytes)); }) {
    service_.OfferStreams(context.channels.local());
  }

  std::string name() const override { return "tokenizer"; }
  std::string proto_name() const override { return v1::TokenizerService::service_full_name(); }
  grpc::Service* service() override { return &service_; }
  bool Drained() override { return queue_.idle(); }

 private:
  TokenizerCounters counters_;
  TokenizerService service_;
  LargeTextQueue queue_;  // Last: its thread works with the others, and ends first.
};

}  // namespace

Result<std::unique_ptr<platform::ServiceModule>> MakeTokenizerModule(const platform::ModuleContext& context) {
  const platform::PhaseTimer timer(context.phases, "reading the tokenizer");
  CONCLAVE_ASSIGN_OR_RETURN(auto tokenizer, LoadModelTokenizer(context.model.path));
  return std::unique_ptr<platform::ServiceModule>(
      std::make_unique<TokenizerModule>(context, std::move(tokenizer)));
}

}  // namespace conclave::tokenizer
