// What answers comes first, then what explains, then what lists; a word in a title outweighs both.
var Scorer = {
  score: ([docname, title, anchor, descr, score]) => {
    const shelves = [
      [/^(install|first-steps|pytorch|circuits|prices|honesty)$|^(guides|concepts)\//, 100],
      [/^(index|faq|extend|peers|glossary)$/, 80],
      [/^(benchmarks|design|reading)$|^auto_gallery\//, 60],
      [/^findings|^packages\//, 40],
    ];
    const shelf = shelves.find(([pages]) => pages.test(docname));
    return score + (shelf ? shelf[1] : 0);
  },
  title: 60,
  partialTitle: 20,
  // The rest is Sphinx's own.
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  term: 5,
  partialTerm: 2,
};
