// Reads an AsyncAPI document from the standard input; prints what is wrong with it, as JSON.
import { readFileSync } from "node:fs";
import parser from "@asyncapi/parser";

const { document, diagnostics } = await new parser.Parser().parse(readFileSync(0, "utf8"));
const wrong = diagnostics.filter((each) => each.severity <= 1); // errors and warnings
const found = document?.allMessages().all().map((each) => each.name()) ?? [];
console.log(JSON.stringify({ wrong, messages: found }));
