//! Words that carry grammar, not meaning: those of English, and those of programming languages.
//!
//! Both lists are sorted, so that a look-up is a binary search without set-up; a test keeps them so.

/// Whether a lower-case word is one of English's function words, or of those that every change log and path
/// has.
pub fn is_english(word: &str) -> bool {
    ENGLISH.binary_search(&word).is_ok()
}

/// Whether a lower-case word is reserved, or as common as if it were, in the languages we read.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

#[rustfmt::skip]
const ENGLISH: &[&str] = &[
    "a", "about", "above", "actually", "add", "added", "adding", "adds", "after", "again", "against", "all",
    "allow", "allowed", "allows", "almost", "along", "already", "also", "although", "always", "am", "among",
    "an", "and", "another", "any", "anyone", "anything", "applied", "apply", "are", "aren't", "around",
    "as", "at", "away", "be", "became", "because", "become", "becomes", "been", "before", "being", "below",
    "between", "both", "bump", "bumped", "but", "by", "came", "can", "can't", "cannot", "certain", "com",
    "come", "comes", "could", "couldn't", "current", "currently", "did", "didn't", "different", "do",
    "does", "doesn't", "doing", "don't", "done", "down", "during", "each", "earlier", "eg", "either",
    "else", "enough", "etc", "even", "ever", "every", "everything", "example", "examples", "existing",
    "far", "few", "first", "fix", "fixed", "fixes", "following", "for", "found", "from", "further", "gave",
    "get", "gets", "getting", "give", "given", "gives", "go", "goes", "going", "gone", "got", "had",
    "hadn't", "has", "hasn't", "have", "haven't", "having", "he", "hence", "her", "here", "here's", "hers",
    "herself", "him", "himself", "his", "how", "however", "http", "https", "i", "i'd", "i'll", "i'm",
    "i've", "ie", "if", "implement", "implemented", "implements", "in", "include", "included", "includes",
    "including", "indeed", "instead", "into", "io", "is", "isn't", "it", "it's", "its", "itself", "just",
    "keep", "kept", "know", "known", "last", "later", "least", "less", "let", "let's", "lib", "like",
    "likely", "made", "make", "makes", "making", "many", "may", "maybe", "md", "me", "might", "mine",
    "more", "moreover", "most", "much", "must", "mustn't", "my", "myself", "namely", "need", "needed",
    "needs", "neither", "never", "new", "next", "no", "nobody", "non", "none", "nor", "not", "note",
    "nothing", "now", "of", "off", "often", "on", "once", "one", "one's", "ones", "only", "onto", "or",
    "org", "other", "others", "otherwise", "ought", "our", "ours", "ourselves", "out", "over", "own", "per",
    "perhaps", "please", "possible", "provide", "provided", "provides", "providing", "put", "quite",
    "rather", "really", "remove", "removed", "removes", "removing", "require", "required", "requires", "rs",
    "same", "second", "see", "seem", "seems", "seen", "several", "shall", "she", "should", "shouldn't",
    "simply", "since", "so", "some", "somehow", "someone", "something", "sometimes", "soon", "src", "still",
    "such", "take", "taken", "than", "that", "that's", "the", "their", "theirs", "them", "themselves",
    "then", "there", "there's", "thereby", "therefore", "these", "they", "they're", "thing", "things",
    "think", "this", "those", "though", "three", "through", "thus", "to", "together", "too", "took",
    "toward", "towards", "two", "under", "unless", "until", "up", "update", "updated", "updates",
    "updating", "upon", "us", "use", "used", "useful", "user's", "uses", "using", "usually", "various",
    "very", "via", "vs", "want", "wants", "was", "wasn't", "way", "ways", "we", "we'd", "we'll", "we're",
    "we've", "well", "went", "were", "weren't", "what", "what's", "whatever", "when", "where", "whereas",
    "whether", "which", "while", "who", "who's", "whole", "whom", "whose", "why", "will", "with", "within",
    "without", "won't", "would", "wouldn't", "www", "yes", "yet", "you", "you'd", "you'll", "you're",
    "you've", "your", "yours", "yourself",
];

#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "abstract", "alias", "alignas", "alignof", "allow", "and", "any", "arg", "args", "arr", "array", "as",
    "asm", "assert", "async", "attr", "auto", "await", "bool", "boolean", "borrow", "box", "break", "byte",
    "case", "cast", "catch", "cfg", "char", "chr", "class", "clone", "cmp", "concept", "config", "const",
    "constexpr", "constructor", "continue", "copy", "crate", "cstr", "ctx", "debug", "declare", "decltype",
    "def", "default", "defer", "del", "delete", "deref", "derive", "deriving", "dest", "dict", "do", "done",
    "double", "dst", "dyn", "echo", "elif", "else", "elsif", "end", "endif", "ensure", "enum", "eprintln",
    "eq", "err", "error", "esac", "except", "exec", "exit", "expect", "explicit", "export", "expr",
    "extends", "extern", "f32", "f64", "fallthrough", "false", "feature", "fi", "final", "finally", "float",
    "fmt", "fn", "for", "foreach", "format", "friend", "from", "func", "function", "global", "go", "goto",
    "hash", "hashmap", "hidden", "i128", "i16", "i32", "i64", "i8", "if", "impl", "implements", "implicit",
    "import", "in", "include", "infer", "inline", "inner", "inst", "instanceof", "int", "int16", "int32",
    "int64", "int8", "interface", "internal", "into", "is", "isize", "it", "iter", "key", "lambda",
    "lateinit", "len", "let", "lib", "long", "loop", "macro", "main", "map", "match", "maybe", "mem", "mod",
    "module", "mut", "mutable", "namespace", "native", "new", "nil", "noexcept", "none", "nonlocal", "not",
    "null", "nullptr", "num", "obj", "object", "ok", "operator", "option", "optional", "or", "ord", "out",
    "override", "package", "panic", "params", "partial", "pass", "path", "pkg", "prelude", "print",
    "println", "private", "protected", "ptr", "pub", "public", "raise", "readonly", "ref", "register",
    "res", "rescue", "ret", "return", "rs", "satisfies", "sealed", "self", "signed", "size", "sizeof",
    "some", "src", "static", "std", "str", "string", "struct", "sub", "super", "switch", "synchronized",
    "template", "test", "tests", "then", "this", "throw", "throws", "tmp", "todo", "trait", "transient",
    "true", "try", "tuple", "type", "typedef", "typeid", "typename", "typeof", "u128", "u16", "u32", "u64",
    "u8", "uint", "uint16", "uint32", "uint64", "uint8", "undef", "undefined", "union", "unit", "unless",
    "unreachable", "unsafe", "unsigned", "until", "unwrap", "use", "using", "usize", "val", "value", "var",
    "vec", "virtual", "void", "volatile", "when", "where", "while", "with", "xor", "yield",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        // Property: binary search finds every word of both lists.
        assert!(ENGLISH.is_sorted() && ENGLISH.iter().all(|word| is_english(word)));
        assert!(RESERVED.is_sorted() && RESERVED.iter().all(|word| is_reserved(word)));
        assert!(!is_english("agent") && !is_reserved("agent"));
    }
}
