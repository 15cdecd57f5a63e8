#include "services/tokenizer/vocabulary_json.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/tokenizer/small_vocabulary.h"

namespace conclave::tokenizer {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json SmallJson() {
  const VocabularyParts parts = SmallParts(WordMerges());
  json vocabulary;
  json added = json::array();
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    if (parts.types[id] == 1) {
      vocabulary[parts.tokens[id]] = id;
    } else {
      added.push_back({{"id", id}, {"content", parts.tokens[id]}, {"special", parts.types[id] == 3}});
    }
  }
  return {{"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", parts.merges}}},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"post_processor", {{"type", "ByteLevel"}}}};
}

Result<TokenizerFiles> Read(const json& tokenizer, const json& config = json::object()) {
  TokenizerFolderTexts texts;
  texts.tokenizer_json = tokenizer.dump();
  texts.tokenizer_config_json = config.dump();
  return ReadTokenizerJson(texts);
}

TEST(ReadTokenizerJson, GivesTheVocabularyOfTheSameGguf) {
  const auto files = Read(SmallJson());
  ASSERT_TRUE(files.ok()) << files.status().ToString();
  const VocabularyParts expected = SmallParts(WordMerges());
  EXPECT_EQ(files->vocabulary.tokens, expected.tokens);
  EXPECT_EQ(files->vocabulary.types, expected.types);
  EXPECT_EQ(files->vocabulary.merges, expected.merges);
  EXPECT_EQ(files->vocabulary.pre_tokenizer, "gpt-2");
  EXPECT_EQ(files->vocabulary.ignore_merges, false);
}

TEST(ReadTokenizerJson, ReadsMergesAsPairsAndFillsGaps) {
  json tokenizer = SmallJson();
  tokenizer["model"]["merges"] = json::array({json::array({"h", "e"})});
  tokenizer["added_tokens"].push_back({{"id", 271}, {"content", "<late>"}, {"special", true}});
  const auto files = Read(tokenizer);
  ASSERT_TRUE(files.ok()) << files.status().ToString();
  EXPECT_THAT(files->vocabulary.merges, testing::ElementsAre("h e"));
  EXPECT_EQ(files->vocabulary.tokens[271], "<late>");
  EXPECT_EQ(files->vocabulary.tokens[270], "[UNUSED 270]");
  EXPECT_EQ(files->vocabulary.types[270], 5);
}

TEST(ReadTokenizerJson, ReadsTheBeginTokenOfThePostProcessor) {
  json tokenizer = SmallJson();
  const json begin = {{"SpecialToken", {{"id", "<|start|>"}, {"type_id", 0}}}};
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  tokenizer["post_processor"] = {{"type", "TemplateProcessing"}, {"single", json::array({begin, text})}};
  const auto files = Read(tokenizer);
  ASSERT_TRUE(files.ok()) << files.status().ToString();
  EXPECT_EQ(files->vocabulary.begin_token_id, 267);
  EXPECT_EQ(files->vocabulary.add_begin_token, true);
  tokenizer["post_processor"]["single"] = json::array({begin, text, begin});
  EXPECT_EQ(Read(tokenizer).status().code(), StatusCode::kUnimplemented);
}

TEST(ReadTokenizerJson, ReadsTheCompanions) {
  TokenizerFolderTexts texts;
  texts.tokenizer_json = SmallJson().dump();
  texts.tokenizer_config_json =
      R"({"eos_token": {"content": "<|end|>"}, "bos_token": "<|start|>", "chat_template": [{"name": "default", "template": "T"}]})";
  texts.generation_config_json = R"({"eos_token_id": [3, 4]})";
  texts.config_json = R"({"eos_token_id": 9})";
  auto files = ReadTokenizerJson(texts);
  ASSERT_TRUE(files.ok()) << files.status().ToString();
  EXPECT_THAT(files->vocabulary.end_token_ids, testing::ElementsAre(266, 3, 4));
  EXPECT_EQ(files->vocabulary.begin_token_id, 267);
  EXPECT_EQ(files->chat_template, "T");
  texts.chat_template_jinja = "J";
  texts.generation_config_json.clear();
  files = ReadTokenizerJson(texts);
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->chat_template, "J");
  EXPECT_THAT(files->vocabulary.end_token_ids, testing::ElementsAre(266, 9));
}

TEST(ReadTokenizerJson, RefusesWhatItDoesNotKnowByName) {
  const auto refusal = [](const json::json_pointer& where, const json& value) {
    json tokenizer = SmallJson();
    tokenizer[where] = value;
    const Status status = Read(tokenizer).status();
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented) << where;
    return status.message();
  };
  using Pointer = json::json_pointer;
  EXPECT_THAT(refusal(Pointer("/model/type"), "WordPiece"), HasSubstr("'WordPiece'"));
  EXPECT_THAT(refusal(Pointer("/model/byte_fallback"), true), HasSubstr("byte_fallback"));
  EXPECT_THAT(refusal(Pointer("/model/dropout"), 0.1), HasSubstr("dropout"));
  EXPECT_THAT(refusal(Pointer("/model/end_of_word_suffix"), "</w>"), HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(refusal(Pointer("/normalizer"), {{"type", "Lowercase"}}), HasSubstr("Lowercase"));
  EXPECT_THAT(refusal(Pointer("/pre_tokenizer"), {{"type", "Metaspace"}}), HasSubstr("Metaspace"));
  EXPECT_THAT(refusal(Pointer("/pre_tokenizer/add_prefix_space"), true), HasSubstr("pre_tokenizer"));
  EXPECT_THAT(refusal(Pointer("/post_processor"), {{"type", "BertProcessing"}}), HasSubstr("BertProcessing"));
  EXPECT_THAT(refusal(Pointer("/added_tokens/0/lstrip"), true), HasSubstr("lstrip"));
}

TEST(ReadTokenizerJson, RefusesMalformedFiles) {
  const auto code = [](const json::json_pointer& where, const json& value) {
    json tokenizer = SmallJson();
    tokenizer[where] = value;
    return Read(tokenizer).status().code();
  };
  using Pointer = json::json_pointer;
  EXPECT_EQ(code(Pointer("/model"), 3), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Pointer("/model/vocab"), json::array()), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Pointer("/model/vocab/a"), -1), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Pointer("/model/vocab/a"), uint64_t{1} << 63), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Pointer("/model/vocab/a"), 98), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Pointer("/model/merges"), "h e"), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Pointer("/model/merges/0"), json::array({"h", 1})), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Pointer("/added_tokens/0"), 5), StatusCode::kInvalidArgument);
  TokenizerFolderTexts texts;
  texts.tokenizer_json = R"({"model": )";
  EXPECT_EQ(ReadTokenizerJson(texts).status().code(), StatusCode::kInvalidArgument);
}

TEST(ReadTokenizerFolder, SaysThatThereIsNoTokenizer) {
  const Status status =
      ReadTokenizerFolder(std::filesystem::temp_directory_path() / "no such folder").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("tokenizer.json"));
}

}  // namespace
}  // namespace conclave::tokenizer
