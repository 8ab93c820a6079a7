"""Write every generated file again: `python3 dev.py generate`."""

from tests.generated.contents import ROOT, generated

for name, content in generated().items():
    path = ROOT / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    print(name)
