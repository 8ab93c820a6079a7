// Reads an OpenAPI document from the standard input; prints what is wrong with it, as JSON.
import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";

const { valid, errors } = await new Validator().validate(JSON.parse(readFileSync(0, "utf8")));
console.log(JSON.stringify({ wrong: valid ? [] : errors }));
