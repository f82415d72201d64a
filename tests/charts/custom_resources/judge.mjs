// Judges manifests of custom kinds, a JSON array on stdin: a line for each fault on stdout, exit status 1 if there is one.
//
// The packages carry each kind twice: as a schema, which finds wrong types, patterns and missing keys but lets unknown keys
// pass as the operators' own schemas do, and as a TypeScript type, which refuses a key that it does not know. A manifest is
// a literal to the compiler, so both are asked.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const PACKAGES = {
  "external-secrets.io": "external-secrets",
  "gateway.networking.k8s.io": "gateway-api",
  "keda.sh": "keda",
  "monitoring.coreos.com": "prometheus-operator",
};

const moduleOf = ({ apiVersion, kind }) => {
  const name = PACKAGES[apiVersion.split("/")[0]];
  if (name === undefined) throw new Error(`no package knows ${apiVersion}`);
  return `@kubernetes-models/${name}/${apiVersion}/${kind}`;
};

const bySchema = async (manifest) => {
  const { [manifest.kind]: Model } = await import(moduleOf(manifest));
  try {
    new Model(manifest).validate();
    return [];
  } catch (error) {
    return [error.message];
  }
};

const byType = (manifests, folder) => {
  const files = manifests.map((manifest, index) => {
    const file = join(folder, `${index}.ts`);
    const type = `I${manifest.kind}`;
    const text = `import type { ${type} } from "${moduleOf(manifest)}";\nexport const manifest: ${type} = `;
    writeFileSync(file, `${text}${JSON.stringify(manifest, null, 2)};\n`);
    return file;
  });
  const program = ts.createProgram(files, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    noEmit: true,
    skipLibCheck: true,
    strict: true,
    target: ts.ScriptTarget.ESNext,
    types: [],
  });
  const found = files.map(() => []);
  for (const { file, messageText } of ts.getPreEmitDiagnostics(program)) {
    const text = ts.flattenDiagnosticMessageText(messageText, " ");
    const index = file === undefined ? 0 : files.indexOf(file.fileName);
    found[Math.max(index, 0)].push(text);
  }
  return found;
};

const manifests = JSON.parse(readFileSync(0, "utf8"));
const folder = mkdtempSync(join(import.meta.dirname, "manifests-"));
try {
  const typed = byType(manifests, folder);
  for (const [index, manifest] of manifests.entries()) {
    for (const fault of [...(await bySchema(manifest)), ...typed[index]]) {
      console.log(`${manifest.kind} ${manifest.metadata.name}: ${fault}`);
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
