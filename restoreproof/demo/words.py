"""Words in many scripts, out of which the sample estate's texts are made."""

COMPANIES = (
    "Põhjala Puit OÜ", "Brouwerij d'Oude Kraan", "Ольха и сыновья", "株式会社青海", "Ærø Færge A/S",
    "Țara Moților SRL", "Ἀγορά ΑΕ", "שמש בע״מ", "شركة النخيل", "मेघदूत ट्रेडर्स",
    "Łódź \\ Kąt sp. z o.o.",
    "Smith & Daughters Ltd", 'Café "Le Zinc"', "Ísbúðin ehf.", "한빛 유통",
    "ร้านใบชา", "Nguyễn Thị Ánh",
    "Müller-Lüdenscheidt GmbH", "Plain Goods Inc", "🍋 Lemonade 4 U",
)  # fmt: skip
PEOPLE = (
    "Kadri Tamm", "Søren Øst", "Ольга Щукина", "佐藤 花子", "Ana-Lucía Núñez", "Zoë O'Hara",
    "محمد الفاسي", "Łukasz Żak", "Παύλος Ιωάννου", "Ruth Bader", "अनिल शर्मा", "김민준",
)  # fmt: skip
COMPLAINTS = (
    "printer prints only half of each page", "no network on the third floor", "disk 95 % full",
    "mail comes twice", "password forgotten; again", "server `db-1` restarts by itself",
    "Принтер не печатает", "ネットワークが遅い", "Bildschirm flackert", "l'écran reste noir",
    "שגיאה בגיבוי", "backup was green, restore was not 😬", "fan is loud", "wrong time zone",
)  # fmt: skip
REMARKS = (
    "called back, nobody there", "replaced the cable", "waiting for a spare part", "перезагрузили",
    "再起動しました", "customer says: \"it's fine\"", "path C:\\temp\\new was full", "escalated",
    "measured 230 V", "firmware updated", "line one\nline two",
)  # fmt: skip
SENTENCES = (
    "Pull the plug and count to ten.", "Read the log before the manual.", "Сначала сделайте копию.",
    "復元を試すまでバックアップではない。", "Ein Stecker hat zwei Seiten.",
    "Ask what changed yesterday.",
    "A restore that was never tried is a hope.", "Vérifiez l'horloge.", "Ελέγξτε το καλώδιο.",
)  # fmt: skip
LANGUAGES = ("en", "de", "ja", "ru", "et", "fr")
